#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace boreal::optim {
namespace {

spec::OptimSpec curve(const std::string& schedule, std::int64_t warmup_steps) {
  spec::OptimSpec spec;
  spec.lr = 2;
  spec.schedule = schedule;
  spec.warmup_steps = warmup_steps;
  spec.lr_min = 0.1;
  spec.decay = 0.25;
  return spec;
}

TEST(LearningRate, RisesLinearlyAndReachesItsPeakAtTheLastStepOfTheWarmUp) {
  for (const std::string schedule : {"constant", "cosine", "wsd"}) {
    const spec::OptimSpec spec = curve(schedule, 4);
    EXPECT_DOUBLE_EQ(learning_rate(spec, 0, 100), 0.5) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(spec, 1, 100), 1.0) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(spec, 3, 100), 2.0) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(spec, 4, 100), 2.0) << schedule;
  }
}

TEST(LearningRate, WithoutWarmUpStartsAtItsPeak) {
  for (const std::string schedule : {"constant", "cosine", "wsd"})
    EXPECT_DOUBLE_EQ(learning_rate(curve(schedule, 0), 0, 100), 2) << schedule;
}

TEST(LearningRate, ConstantStaysAndKnowsNoEnd) {
  for (const std::int64_t step : {4, 50, 99, 100, 1'000'000})
    EXPECT_DOUBLE_EQ(learning_rate(curve("constant", 4), step, 100), 2);
}

TEST(LearningRate, CosineFallsByHalfACosineToItsFloorAndStaysThere) {
  const spec::OptimSpec spec = curve("cosine", 20);
  EXPECT_DOUBLE_EQ(learning_rate(spec, 20, 100), 2);
  EXPECT_NEAR(learning_rate(spec, 60, 100), 0.2 + 1.8 / 2, 1e-12);  // half way
  EXPECT_NEAR(learning_rate(spec, 40, 100), 0.2 + 1.8 * (1 + std::sqrt(0.5)) / 2, 1e-12);
  EXPECT_NEAR(learning_rate(spec, 100, 100), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate(spec, 150, 100), 0.2, 1e-12);
  for (std::int64_t step = 20; step < 100; ++step)
    EXPECT_GT(learning_rate(spec, step, 100), learning_rate(spec, step + 1, 100));
}

TEST(LearningRate, WsdIsStableAndThenFallsLinearlyOverItsLastShare) {
  const spec::OptimSpec spec = curve("wsd", 4);
  EXPECT_DOUBLE_EQ(learning_rate(spec, 74, 100), 2);
  EXPECT_DOUBLE_EQ(learning_rate(spec, 75, 100), 2);
  EXPECT_NEAR(learning_rate(spec, 85, 100), 0.2 + 1.8 * 15 / 25, 1e-12);
  EXPECT_NEAR(learning_rate(spec, 99, 100), 0.2 + 1.8 / 25, 1e-12);
  EXPECT_NEAR(learning_rate(spec, 100, 100), 0.2, 1e-12);
}

TEST(LearningRate, IsFiniteAndWithinItsBoundsInRunsShorterThanTheirWarmUp) {
  for (const std::string schedule : {"constant", "cosine", "wsd"})
    for (const std::int64_t steps : {1, 2, 5})
      for (std::int64_t step = 0; step < steps; ++step) {
        for (const std::int64_t warmup : {0, 1, 10}) {
          const double lr = learning_rate(curve(schedule, warmup), step, steps);
          EXPECT_GT(lr, 0) << schedule << " " << step << " of " << steps;
          EXPECT_LE(lr, 2) << schedule << " " << step << " of " << steps;
        }
      }
}

TEST(ClipFactor, BringsALargeNormDownAndLeavesASmallOne) {
  EXPECT_DOUBLE_EQ(clip_factor(4, 1), 0.25);
  EXPECT_DOUBLE_EQ(clip_factor(1, 1), 1);
  EXPECT_DOUBLE_EQ(clip_factor(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(clip_factor(0, 1), 1);
  EXPECT_DOUBLE_EQ(clip_factor(1e9, 0), 1);  // no clipping
}

}  // namespace
}  // namespace boreal::optim
