// Whole models against the double twin: logits, loss and the gradient of every parameter.
#include <cmath>
#include <cstring>

#include "base/philox.h"
#include "tests/kernels/fixture.h"
#include "tests/model/rig.h"

namespace boreal::model {
namespace {

using reference::DecoderBatch;
using reference::largest;
using reference::Matrix;
using reference::matrix_of;
using reference::Parameters;

class Gradient : public kernels::KernelTest {
 protected:
  // Of a tensor's largest element. fp32: measured 2.4e-6, bound a tenth of the 1e-4 that is
  // promised. bf16: measured 3.6e-2 (llama) and 1.6e-2 (gpt2), on all sets alike; every activation
  // and its gradient is rounded to 2^-9 some twenty times on the longest path.
  double bound() const { return dtype() == DType::f32 ? 1e-5 : 5e-2; }
};

TEST_P(Gradient, OfEveryParameterEqualsTheTwins) {
  for (const std::string& family : all_families())
    for (const bool tied : {true, false}) {
      DecoderConfig config = tiny(family, dtype());
      config.tied = tied;
      Rig rig(config, ctx());
      DecoderBatch batch = draw_batch("batch", {9, 1, 70, 13}, config.vocab);
      for (std::size_t r = 0; r < batch.weight.size(); ++r) batch.weight[r] = r % 4 == 1 ? 0 : 1;
      batch.weight[5] = 0.5;
      const auto twin = reference::decoder(twin_shape(config), rig.weights(), batch);
      const double loss = rig.accumulate(batch);
      EXPECT_NEAR(loss / twin.total, 1, bound() / 20) << family;
      EXPECT_LE(relative_error(rig.logits(batch).matrix(), twin.logits), bound()) << family;
      const Parameters got = rig.gradients();
      ASSERT_EQ(got.size(), twin.gradients.size());
      for (const auto& [name, d] : twin.gradients)
        EXPECT_LE(relative_error(got.at(name), d), bound()) << family << " " << name;
    }
}

TEST_P(Gradient, WithRecomputeHasTheSameBits) {
  for (const std::string& family : all_families()) {
    const DecoderConfig config = tiny(family, dtype());
    Rig rig(config, ctx());
    const DecoderBatch batch = draw_batch("batch", {9, 70}, config.vocab);
    const double loss = rig.accumulate(batch, {});
    const auto kept = rig.gradient_bytes();
    spec::RecomputeByBlock mixed(spec::Recompute::selective);
    mixed.blocks = {spec::Recompute::full};
    for (const auto& recompute : {spec::RecomputeByBlock(spec::Recompute::selective),
                                  spec::RecomputeByBlock(spec::Recompute::full), mixed}) {
      rig.zero_gradients();
      EXPECT_EQ(rig.accumulate(batch, recompute), loss);
      EXPECT_EQ(rig.gradient_bytes(), kept) << family;
    }
  }
}

TEST_P(Gradient, OnTwoAndThreeThreadsHasTheSameBits) {
  for (const std::string& family : all_families()) {
    const DecoderConfig config = tiny(family, dtype());
    const DecoderBatch batch = draw_batch("batch", {9, 70, 1}, config.vocab);
    Rig rig(config, ctx());
    const double loss = rig.accumulate(batch);
    for (const std::int64_t threads : {2, 3}) {
      device::Pool pool(threads);
      Rig other(config, on(pool));
      EXPECT_EQ(other.accumulate(batch), loss);
      EXPECT_EQ(other.gradient_bytes(), rig.gradient_bytes()) << family;
    }
  }
}

TEST_P(Gradient, OfMicroBatchesAddsUpToThatOfTheBatch) {
  for (const std::string& family : all_families()) {
    const DecoderConfig config = tiny(family, dtype());
    const DecoderBatch batch = draw_batch("batch", {20, 6, 31, 15}, config.vocab);
    Rig whole(config, ctx());
    const double loss = whole.accumulate(batch);
    Rig parts(config, ctx());
    double sum = 0;
    for (const auto& [begin, end] : {std::pair{0, 26}, std::pair{26, 57}, std::pair{57, 72}})
      sum += parts.accumulate(part_of(batch, begin, end));
    EXPECT_NEAR(sum / loss, 1, 1e-12);
    const Parameters expected = whole.gradients();
    for (const auto& [name, d] : parts.gradients())
      EXPECT_LE(relative_error(d, expected.at(name)), 1e-5) << family << " " << name;
  }
}

TEST_P(Gradient, OfRowsThatDoNotCountIsNone) {
  for (const std::string& family : all_families()) {
    const DecoderConfig config = tiny(family, dtype());
    DecoderBatch batch = draw_batch("batch", {40, 12}, config.vocab);
    for (std::size_t r = 0; r < batch.weight.size(); ++r)
      batch.weight[r] = r % 3 == 0 && r < 30 ? 1 : 0;
    Rig rig(config, ctx());
    const double loss = rig.accumulate(batch);
    const auto expected = rig.gradient_bytes();

    // Their targets say nothing, nor does what stands behind the last row that counts.
    DecoderBatch other = batch;
    for (std::size_t r = 0; r < other.weight.size(); ++r) {
      if (other.weight[r] == 0) other.target[r] = (other.target[r] + 1) % config.vocab;
      if (r > 28) other.id[r] = (other.id[r] + 1) % config.vocab;
    }
    rig.zero_gradients();
    EXPECT_EQ(rig.accumulate(other), loss);
    EXPECT_EQ(rig.gradient_bytes(), expected) << family;

    std::ranges::fill(batch.weight, 0);
    rig.zero_gradients();
    EXPECT_EQ(rig.accumulate(batch), 0);
    EXPECT_EQ(largest(matrix_of(rig.state().all_gradients())), 0);
  }
}

TEST_P(Gradient, OfADocumentIsIndependentOfItsNeighbours) {
  for (const std::string& family : all_families()) {
    const DecoderConfig config = tiny(family, dtype());
    const int first = 64;  // where sums over rows may be cut (kernels/gemm.h, ops.h)
    DecoderBatch batch = draw_batch("batch", {first, 40}, config.vocab);
    std::fill(batch.weight.begin(), batch.weight.begin() + first, 0);
    Rig rig(config, ctx());
    rig.accumulate(batch);
    const auto expected = rig.gradient_bytes();
    const auto losses = rig.losses();

    DecoderBatch other = batch;
    for (int r = 0; r < first; ++r) other.id[r] = (other.id[r] + 7) % config.vocab;
    rig.zero_gradients();
    rig.accumulate(other);
    EXPECT_EQ(rig.gradient_bytes(), expected) << family;
    EXPECT_EQ(rig.losses(), losses);

    rig.zero_gradients();
    rig.accumulate(part_of(batch, first, first + 40));
    EXPECT_EQ(rig.losses(), losses);
    EXPECT_EQ(rig.gradient_bytes(), expected) << family;
  }
}

BOREAL_EVERYWHERE(Gradient);

// The twin itself, at a few elements of every parameter.
TEST(DecoderTwin, GradientsAreItsFiniteDifferences) {
  for (const std::string& family : all_families())
    for (const bool tied : {true, false}) {
      DecoderConfig config = tiny(family, DType::f32);
      if (tied && family != "llama" && family != "gpt2") continue;
      config.tied = tied;
      device::Pool pool(1);
      Parameters weights = Rig(config, device::cpu_context(pool)).weights();
      DecoderBatch batch = draw_batch("batch", {5, 8}, config.vocab);
      batch.weight[3] = 0;
      const auto shape = twin_shape(config);
      const auto twin = reference::decoder(shape, weights, batch);
      constexpr double kStep = 1e-5;
      for (auto& [name, w] : weights) {
        const Rng rng(3, "element", name);
        for (std::uint64_t draw = 0; draw < 2; ++draw) {
          // An element that is used: of the rows that a look-up table never gave, gradients are
          // zero.
          std::size_t i = rng.bits(draw) % w.values.size();
          if (name == "embedding.weight")
            i = static_cast<std::size_t>(batch.id[draw] * w.columns) + rng.bits(draw) % 40;
          const double before = w.values[i];
          w.values[i] = before + kStep;
          const double above = reference::decoder(shape, weights, batch).total;
          w.values[i] = before - kStep;
          const double below = reference::decoder(shape, weights, batch).total;
          w.values[i] = before;
          const Matrix& d = twin.gradients.at(name);
          EXPECT_NEAR(d.values[i], (above - below) / (2 * kStep), 1e-7 * (1 + largest(d)))
              << family << " " << name << " element " << i;
        }
      }
    }
}

}  // namespace
}  // namespace boreal::model
