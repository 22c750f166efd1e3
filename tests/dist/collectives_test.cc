#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <random>
#include <thread>

#include "dist/world.h"
#include "tests/dist/cases.h"

namespace boreal::dist {
namespace {

using tensor::Shape;
using tensor::Tensor;
using testing::IsEmpty;

device::Context context() {
  static device::Pool pool(1);
  return device::cpu_context(pool);
}

void run(std::int64_t ranks, const std::function<void(World&)>& body) {
  const Status status = run_world(fmt::format("threads:{}", ranks), {.time_limit_s = 60},
                                  [&](World& world) -> Status {
                                    body(world);
                                    return Done{};
                                  });
  EXPECT_TRUE(status.ok()) << status.error().message;
}

class Worlds : public testing::TestWithParam<std::int64_t> {};

TEST_P(Worlds, GiveWhatTheSlowTwinsGive) {
  std::mutex mutex;
  std::vector<std::string> wrong;
  run(GetParam(), [&](World& world) {
    std::vector<std::string> hashes;
    const std::vector<std::string> mine = cases::run_all(world, hashes);
    const std::lock_guard lock(mutex);
    wrong.insert(wrong.end(), mine.begin(), mine.end());
  });
  EXPECT_THAT(wrong, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Sizes, Worlds, testing::Values(1, 2, 3, 4, 7),
                         [](const auto& size) { return std::to_string(size.param) + "Ranks"; });

TEST(Lane, RunsInTheBackgroundWhileTheCallerComputes) {
  run(2, [](World& world) {
    std::vector<float> a(1000, 1.0F);
    std::vector<float> b(1000, 2.0F);
    const Tensor x(a.data(), DType::f32, Shape{1000});
    const Tensor y(b.data(), DType::f32, Shape{1000});
    const Event first = world.all().all_reduce(context(), x, Reduce::sum, Urgency::background);
    // The other rank's foreground call is only answered if the background runs by itself.
    if (world.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const Event second = world.all().all_reduce(context(), y);
    second.wait();
    EXPECT_EQ(a[999], 2.0F);
    first.wait();
    EXPECT_EQ(b[0], 4.0F);
  });
}

TEST(Lane, HidesABackgroundCollectiveBehindTheCallersWork) {
  run(2, [](World& world) {
    std::vector<float> a(1 << 20, 1.0F);
    world.all().barrier();
    world.take_traffic();
    const Event event = world.all().all_reduce(
        context(), Tensor(a.data(), DType::f32, Shape{1 << 20}), Reduce::sum, Urgency::background);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    event.wait();
    const Traffic traffic = world.take_traffic();
    ASSERT_EQ(traffic.size(), 1U);
    EXPECT_GT(traffic[0].busy_s, 0);
    EXPECT_LT(traffic[0].waited_s, 0.1);
  });
}

TEST(Lane, KeepsTheOrderOfManyCallsThatNobodyHasWaitedForYet) {
  run(3, [](World& world) {
    std::vector<float> values(300);
    std::vector<Event> events;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i);
      events.push_back(
          world.all().all_reduce(context(), Tensor(&values[i], DType::f32, Shape{1}), Reduce::sum,
                                 i % 3 == 0 ? Urgency::background : Urgency::foreground));
    }
    for (std::size_t i = values.size(); i-- > 0;) events[i].wait();
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], 3 * static_cast<float>(i));
  });
}

TEST(Lane, FinishesWhatTheBodyLeftUnwaited) {
  std::vector<float> values(2, 1.0F);
  run(2, [&](World& world) {
    float& own = values[static_cast<std::size_t>(world.rank())];
    world.all().all_reduce(context(), Tensor(&own, DType::f32, Shape{1}));
  });
  EXPECT_EQ(values, (std::vector<float>{2, 2}));
}

TEST(Groups, MayBeUsedInTurnsByRanksThatAreInSeveral) {
  run(4, [](World& world) {
    const std::int64_t r = world.rank();
    const std::vector<std::int64_t> row = {r / 2 * 2, r / 2 * 2 + 1};
    const std::vector<std::int64_t> column = {r % 2, r % 2 + 2};
    float x = 1;
    const Tensor t(&x, DType::f32, Shape{1});
    for (int round = 0; round < 20; ++round) {
      world.group(row, "tp").all_reduce(context(), t, Reduce::sum, Urgency::background).wait();
      world.group(column, "dp_shard").all_reduce(context(), t).wait();
      world.all().all_reduce(context(), t, Reduce::max).wait();
      x /= 4;
    }
    EXPECT_EQ(x, 1.0F);
    EXPECT_EQ(world.group(column, "dp_shard").world_rank(1), r % 2 + 2);
  });
}

// Bits of a chain of collectives, with the ranks held up at random.
std::vector<std::string> delayed(std::uint32_t seed) {
  std::vector<std::string> all;
  std::mutex mutex;
  run(3, [&](World& world) {
    std::minstd_rand random(seed + static_cast<std::uint32_t>(world.rank()));
    std::vector<float> x(5001);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = cases::value(world.rank(), static_cast<std::int64_t>(i), 1);
    const Tensor t(x.data(), DType::f32, Shape{5001});
    for (int round = 0; round < 10; ++round) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
      world.all().all_reduce(context(), t, Reduce::sum, Urgency::background).wait();
      for (float& v : x) v *= 0.4F;
    }
    const std::string bits(static_cast<const char*>(static_cast<const void*>(x.data())),
                           x.size() * sizeof(float));
    const std::lock_guard lock(mutex);
    all.push_back(bits);
  });
  return all;
}

TEST(Bits, DoNotDependOnWhoComesFirst) {
  const std::vector<std::string> once = delayed(1);
  ASSERT_EQ(once.size(), 3U);
  EXPECT_EQ(once[0], once[1]);
  EXPECT_EQ(once[0], once[2]);
  EXPECT_EQ(once, delayed(77));
}

TEST(Traffic, CountsWhatOneRankSends) {
  run(4, [](World& world) {
    std::vector<float> x(400);
    const Tensor t(x.data(), DType::f32, Shape{400});
    world.all().all_reduce(context(), t).wait();
    world.all().all_reduce(context(), t).wait();
    world.all().all_gather(context(), world.all().own_piece(t), t).wait();
    const Traffic traffic = world.take_traffic();
    ASSERT_EQ(traffic.size(), 2U);
    EXPECT_EQ(traffic[0].axis, "world");
    EXPECT_EQ(traffic[0].operation, "all_reduce");
    EXPECT_EQ(traffic[0].calls, 2);
    EXPECT_EQ(traffic[0].messages, 2 * 2 * 3);
    EXPECT_EQ(traffic[0].sent_bytes, 2 * 2 * 3 * 400);  // 2 (n - 1) / n of 1600 bytes, twice
    EXPECT_GT(traffic[0].busy_s, 0);
    EXPECT_EQ(traffic[1].sent_bytes, 3 * 400);
    EXPECT_THAT(world.take_traffic(), IsEmpty());
  });
}

TEST(Meta, CollectivesOfAnImaginedGroupCheckShapesAndReturn) {
  const Group group = Group::imagined(1, 4, "dp_shard");
  const device::Context meta = device::meta_context(1);
  const Tensor whole(nullptr, DType::bf16, Shape{6, 2});
  const Tensor piece = group.own_piece(whole);
  EXPECT_EQ(piece.shape, (Shape{2, 2}));
  group.all_reduce(meta, whole, Reduce::sum, Urgency::background).wait();
  group.all_gather(meta, piece, whole).wait();
  group.reduce_scatter(meta, whole, piece).wait();
  group.broadcast(meta, whole, 3).wait();
  group.send(meta, whole, 0).wait();
  group.receive(meta, whole, 2).wait();
  EXPECT_DEATH(group.all_gather(meta, whole, whole), "the piece of rank 1 of 4");
  EXPECT_DEATH(group.all_to_all(meta, whole, whole), "6 rows for 4 ranks");
}

TEST(Meta, AnImaginedGroupCannotCommunicate) {
  const Group group = Group::imagined(0, 2, "tp");
  float x = 1;
  EXPECT_DEATH(group.all_reduce(context(), Tensor(&x, DType::f32, Shape{1})), "imagined");
  EXPECT_DEATH(group.barrier(), "imagined");
}

}  // namespace
}  // namespace boreal::dist
