#include "base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace boreal {
namespace {

TEST(Philox, GivesThePublishedKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}),
            (Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Philox4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, DependsOnSeedPurposeNameAndStepAndOnNothingElse) {
  const Rng rng(1, "init", "w", 3);
  EXPECT_EQ(rng.bits(7), Rng(1, "init", "w", 3).bits(7));
  EXPECT_NE(rng.bits(7), Rng(2, "init", "w", 3).bits(7));
  EXPECT_NE(rng.bits(7), Rng(1, "drop", "w", 3).bits(7));
  EXPECT_NE(rng.bits(7), Rng(1, "init", "v", 3).bits(7));
  EXPECT_NE(rng.bits(7), Rng(1, "init", "w", 4).bits(7));
  EXPECT_NE(rng.bits(7), rng.bits(8));
}

TEST(Rng, NormalDrawsHaveMeanZeroAndVarianceOne) {
  const Rng rng(5, "test");
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal(static_cast<std::uint64_t>(i));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 4 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 8 / std::sqrt(kDraws));
}

TEST(Permute, IsABijectionOfEverySizeTried) {
  for (const std::uint64_t n : {1U, 2U, 3U, 7U, 64U, 97U, 1000U, 4097U}) {
    std::vector<bool> seen(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t j = permute(i, n, 42);
      ASSERT_LT(j, n);
      EXPECT_FALSE(seen[j]);
      seen[j] = true;
    }
  }
}

TEST(Permute, MovesMostElementsAndDiffersByKey) {
  int same = 0;
  int equal_keys = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    same += permute(i, 1000, 1) == i ? 1 : 0;
    equal_keys += permute(i, 1000, 1) == permute(i, 1000, 2) ? 1 : 0;
  }
  EXPECT_LT(same, 20);
  EXPECT_LT(equal_keys, 20);
}

}  // namespace
}  // namespace boreal
