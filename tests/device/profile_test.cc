#include "device/profile.h"

#include <gtest/gtest.h>

#include "device/context.h"

namespace boreal::device {
namespace {

TEST(Profile, SpansNestAsTheirScopesDo) {
  ManualClock clock;
  Profile profile(clock, 1);
  Pool pool(1);
  Context ctx = cpu_context(pool);
  ctx.profile = &profile;
  {
    const Span layer = Span::layer(ctx, "layer", 7);
    clock.advance(1);
    {
      const Span kernel(ctx, "first", 100, 8);
      clock.advance(2);
    }
    const Span kernel(ctx, "second", 1, 2);
    clock.advance(4);
  }
  ASSERT_EQ(profile.records().size(), 3U);
  const SpanRecord& layer = profile.records()[0];
  const SpanRecord& first = profile.records()[1];
  const SpanRecord& second = profile.records()[2];
  EXPECT_EQ(layer.name, "layer");
  EXPECT_EQ(layer.index, 7);
  EXPECT_EQ(layer.parent, -1);
  EXPECT_EQ(first.parent, 0);
  EXPECT_EQ(second.parent, 0);
  EXPECT_EQ(first.flops, 100);
  EXPECT_EQ(first.bytes, 8);
  EXPECT_EQ(layer.seconds(), 7);
  EXPECT_EQ(first.seconds(), 2);
  EXPECT_EQ(second.seconds(), 4);
}

TEST(Profile, TakesNoMemoryWhileItRecordsAndCountsWhatDidNotFit) {
  const ManualClock clock;
  Profile profile(clock, 1);
  const std::size_t room = profile.records().capacity();
  const SpanRecord* memory = profile.records().data();
  for (std::size_t i = 0; i < room + 10; ++i) {
    const Span span(&profile, {.name = "kernel"});
    profile.work(0, 0);
  }
  EXPECT_EQ(profile.records().data(), memory);
  EXPECT_EQ(profile.records().size(), room);
  EXPECT_EQ(profile.work(0).size(), room);
  EXPECT_EQ(profile.left_out(), 20);
  // The next step may be as eventful.
  profile.reserve();
  EXPECT_GE(profile.records().capacity(), 2 * room);
  { const Span span(&profile, {.name = "kernel"}); }
  EXPECT_EQ(profile.records().size(), room + 1);
  EXPECT_EQ(profile.records().back().parent, -1) << "spans that were left out have no children";
}

TEST(Profile, KnowsWhenEachThreadOfThePoolWasAtWork) {
  for (const std::int64_t threads : {1, 2, 3}) {
    Profile profile(Clock::real(), threads);
    Pool pool(threads);
    pool.watch(&profile);
    {
      const Span span(&profile, {.name = "kernel"});
      pool.run([](std::int64_t) {});
      pool.split(1, 1, [](std::int64_t, std::int64_t) {});
    }
    pool.watch(nullptr);
    pool.run([](std::int64_t) {});
    const SpanRecord& kernel = profile.records().front();
    for (std::int64_t part = 0; part < threads; ++part) {
      // What is too small to share is done by the calling thread.
      ASSERT_EQ(profile.work(part).size(), part == 0 ? 2U : 1U);
      for (const WorkRecord& work : profile.work(part)) {
        EXPECT_EQ(work.span, 0);
        EXPECT_LE(kernel.begin_s, work.begin_s);
        EXPECT_LE(work.begin_s, work.end_s);
        EXPECT_LE(work.end_s, kernel.end_s);
      }
    }
  }
}

}  // namespace
}  // namespace boreal::device
