#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "dist/failure.h"
#include "dist/world.h"

namespace boreal::dist {
namespace {

using tensor::Shape;
using tensor::Tensor;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

device::Context context() {
  static device::Pool pool(1);
  return device::cpu_context(pool);
}

std::string trouble(std::int64_t ranks, const WorldOptions& options,
                    const std::function<Status(World&)>& body) {
  const Status status = run_world(fmt::format("threads:{}", ranks), options, body);
  return status.ok() ? "no trouble" : status.error().message;
}

void describe(World& world) {
  world.describe(fmt::format("dp_shard {}", world.rank()));
  world.at_step(17);
}

TEST(Mismatch, NamesTheRanksWithOperationsShapesAndPlaces) {
  const std::string message = trouble(3, {}, [](World& world) -> Status {
    describe(world);
    std::vector<float> x(12);
    if (world.rank() == 1)
      world.all().broadcast(context(), Tensor(x.data(), DType::f32, Shape{12}), 2).wait();
    else
      world.all().all_reduce(context(), Tensor(x.data(), DType::f32, Shape{3, 4})).wait();
    return Done{};
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("rank 0 (dp_shard 0), step 17 and rank 2 (dp_shard 2), step 17: "
                              "all_reduce of world, fp32 [3, 4], at tests/dist/trouble_test.cc:"),
                    HasSubstr("rank 1 (dp_shard 1), step 17: broadcast of world, fp32 [12], root "
                              "2, at tests/dist/trouble_test.cc:")));
}

TEST(Mismatch, IsFoundInTheShapeTheTypeTheRootAndTheKindOfReduction) {
  for (int what = 0; what < 4; ++what) {
    const std::string message = trouble(2, {}, [&](World& world) -> Status {
      const bool other = world.rank() == 1;
      std::vector<float> x(16);
      const DType dtype = what == 0 && other ? DType::bf16 : DType::f32;
      const Tensor t(x.data(), dtype, what == 1 && other ? Shape{8} : Shape{16});
      const std::int64_t root = what == 2 && other ? 1 : 0;
      const Reduce reduce = what == 3 && other ? Reduce::max : Reduce::sum;
      world.all().broadcast(context(), t, root).wait();
      world.all().all_reduce(context(), t, reduce).wait();
      return Done{};
    });
    EXPECT_THAT(message, HasSubstr("call collectives that do not fit")) << what;
  }
}

TEST(Mismatch, OfCallSitesIsFoundInDebugMode) {
  for (const bool debug : {false, true}) {
    const std::string message = trouble(2, {.debug = debug}, [](World& world) -> Status {
      if (world.rank() == 0)
        world.all().barrier();
      else
        world.all().barrier();
      return Done{};
    });
    EXPECT_THAT(message, HasSubstr(debug ? "do not fit" : "no trouble"));
  }
}

TEST(Mismatch, OfWhatIsSentAndReceivedIsFound) {
  const std::string message = trouble(2, {}, [](World& world) -> Status {
    std::vector<float> x(8);
    if (world.rank() == 0)
      world.all().send(context(), Tensor(x.data(), DType::f32, Shape{8}), 1).wait();
    else
      world.all().receive(context(), Tensor(x.data(), DType::f32, Shape{4}), 0).wait();
    return Done{};
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("send of world, fp32 [8]"), HasSubstr("receive of world, fp32 [4]")));
}

TEST(TimeLimit, NamesTheRankThatIsMissingAndNotThoseThatWaitForIt) {
  std::atomic<bool> over = false;
  const std::string message = trouble(3, {.time_limit_s = 0.3}, [&](World& world) -> Status {
    describe(world);
    world.all().barrier();
    if (world.rank() == 1)
      while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    try {
      world.all().barrier();
    } catch (const Failure&) {
      over = true;
      throw;
    }
    return Done{};
  });
  EXPECT_THAT(message, AllOf(HasSubstr(" of 3 (dp_shard "), HasSubstr("has not ended within 0.3 s"),
                             HasSubstr("rank 1 (dp_shard 1), step 17, has not called it; it left "
                                       "barrier of world"),
                             HasSubstr("ranks 0, 2 wait")));
}

TEST(TimeLimit, EndsRanksThatWaitInDifferentGroupsAndNamesBoth) {
  const std::string message = trouble(2, {.time_limit_s = 0.3}, [](World& world) -> Status {
    const std::vector<std::int64_t> both = {0, 1};
    float x = 0;
    if (world.rank() == 0)
      world.group(both, "tp").all_reduce(context(), Tensor(&x, DType::f32, Shape{1})).wait();
    else
      world.group(both, "dp_shard").barrier();
    return Done{};
  });
  EXPECT_THAT(message, AllOf(HasSubstr("all_reduce of tp"), HasSubstr("barrier of dp_shard")));
}

TEST(TimeLimit, BlamesTheRankAtTheEndOfAChainOfWaitingOnes) {
  std::atomic<bool> over = false;
  const std::string message = trouble(3, {.time_limit_s = 0.3}, [&](World& world) -> Status {
    const std::vector<std::int64_t> first = {0, 1};
    const std::vector<std::int64_t> second = {1, 2};
    try {
      if (world.rank() == 2)
        while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (world.rank() > 0) world.group(second, "cp").barrier();
      if (world.rank() < 2) world.group(first, "tp").barrier();
    } catch (const Failure&) {
      over = true;
      throw;
    }
    return Done{};
  });
  EXPECT_THAT(message, AllOf(HasSubstr("rank 2, has called no collective"),
                             Not(HasSubstr("rank 1, is in"))));
}

TEST(Failure, OfABackgroundCollectiveIsThrownByItsWait) {
  std::atomic<int> thrown = 0;
  trouble(2, {}, [&](World& world) -> Status {
    std::vector<float> x(8);
    const Tensor t(x.data(), DType::f32, world.rank() == 0 ? Shape{8} : Shape{4});
    const Event event = world.all().all_reduce(context(), t, Reduce::sum, Urgency::background);
    const Event next = world.all().all_reduce(context(), t, Reduce::sum, Urgency::background);
    for (const Event& each : {next, event}) {
      try {
        each.wait();
      } catch (const Failure&) {
        ++thrown;
      }
    }
    return failed("both threw");
  });
  EXPECT_EQ(thrown, 4);
}

TEST(Errors, OfOneRankEndTheOthersAndCarryItsName) {
  std::atomic<int> ended = 0;
  const Status status = run_world("threads:3", {}, [&](World& world) -> Status {
    describe(world);
    if (world.rank() == 2) return refused("shard 3 is damaged");
    try {
      world.all().barrier();
    } catch (const Failure& failure) {
      EXPECT_THAT(failure.what(), HasSubstr("shard 3 is damaged"));
      ++ended;
      throw;
    }
    return Done{};
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "rank 2 of 3 (dp_shard 2), step 17: shard 3 is damaged");
  EXPECT_EQ(status.error().kind, ErrorKind::refused);
  EXPECT_EQ(ended, 2);
}

TEST(Errors, ThatAllRanksAgreeOnAreToldAsTheyAre) {
  const std::string message = trouble(3, {}, [](World& world) -> Status {
    return world.all().agree(world.rank() == 2 ? Status(failed("disk full")) : Status(Done{}));
  });
  EXPECT_EQ(message, "disk full");
}

TEST(Errors, ThatAreExceptionsOfLibrariesLeaveTheWorld) {
  EXPECT_THROW(trouble(2, {},
                       [](World& world) -> Status {
                         if (world.rank() == 1) throw std::runtime_error("a library");
                         world.all().barrier();
                         return Done{};
                       }),
               std::runtime_error);
}

TEST(RunWorld, RefusesKindsThatItDoesNotKnow) {
  for (const char* kind : {"", "thread:2", "threads:", "threads:0", "threads:-1", "threads:2x"}) {
    const Status status = run_world(kind, {}, [](World&) -> Status { return Done{}; });
    ASSERT_FALSE(status.ok()) << kind;
    EXPECT_EQ(status.error().kind, ErrorKind::usage);
  }
}

TEST(RunWorld, OfOneRankIsAlone) {
  const Status status = run_world("single", {}, [](World& world) -> Status {
    EXPECT_EQ(world.size(), 1);
    EXPECT_TRUE(world.is_main());
    EXPECT_EQ(world.kind(), "single");
    world.all().barrier();
    EXPECT_EQ(world.all().sum(3), 3);
    return failed("told");
  });
  EXPECT_EQ(status.error().message, "told");
}

}  // namespace
}  // namespace boreal::dist
