#include "kernels/draw.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace boreal::kernels {
namespace {

std::vector<float> draw(device::Isa isa, std::uint64_t first, std::int64_t count) {
  device::Context ctx;
  ctx.isa = isa;
  std::vector<float> out(static_cast<std::size_t>(count) + 1, -7);
  draw_normals(ctx, Rng(5, "draw", "test"), first, 0.02, out.data(), count);
  EXPECT_EQ(out.back(), -7) << "written behind the end";
  out.pop_back();
  return out;
}

TEST(DrawNormals, AreThoseOfTheCounterWithinOneRounding) {
  const Rng rng(5, "draw", "test");
  std::int64_t different = 0;
  const std::int64_t count = 200'001;
  for (const std::uint64_t first : {std::uint64_t{0}, (std::uint64_t{1} << 33) - 1000}) {
    const std::vector<float> got = draw(device::best_isa(), first, count);
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double exact = 0.02 * rng.normal(first + i);
      EXPECT_NEAR(got[i], exact, std::abs(exact) * 0x1.8p-24 + 1e-17);
      different += got[i] != static_cast<float>(exact);
    }
  }
  EXPECT_LE(different, 2);  // where the exact value lies between two floats
}

TEST(DrawNormals, HaveTheSameBitsOnEverySetAndHoweverTheyAreCut) {
  const std::vector<float> whole = draw(device::Isa::v2, 17, 1000);
  for (const device::Isa isa : device::available_isas()) {
    EXPECT_EQ(draw(isa, 17, 1000), whole) << name_of(isa);
    for (const std::int64_t size : {1, 3, 63, 64, 65, 129, 1000})
      for (std::int64_t begin = 0; begin + size <= 1000; begin += 331) {
        const auto piece = draw(isa, 17 + static_cast<std::uint64_t>(begin), size);
        EXPECT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + begin)) << size;
      }
  }
}

TEST(DrawNormals, AreNormal) {
  const std::vector<float> got = draw(device::best_isa(), 1 << 20, 1 << 20);
  double moment[5] = {};
  for (const float x : got)
    for (int k = 1; k < 5; ++k) moment[k] += std::pow(static_cast<double>(x) / 0.02, k);
  for (double& m : moment) m /= static_cast<double>(got.size());
  EXPECT_NEAR(moment[1], 0, 5e-3);
  EXPECT_NEAR(moment[2], 1, 7e-3);
  EXPECT_NEAR(moment[3], 0, 2e-2);
  EXPECT_NEAR(moment[4], 3, 6e-2);
}

}  // namespace
}  // namespace boreal::kernels
