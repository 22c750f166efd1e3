#include "device/pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "device/context.h"

namespace boreal::device {
namespace {

class PoolTest : public testing::TestWithParam<std::int64_t> {};

TEST_P(PoolTest, RunsEveryPartOnceEachOnItsOwnThread) {
  Pool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  std::mutex mutex;
  std::vector<std::int64_t> parts;
  std::set<std::thread::id> threads;
  pool.run([&](std::int64_t part) {
    const std::lock_guard lock(mutex);
    parts.push_back(part);
    threads.insert(std::this_thread::get_id());
  });
  std::ranges::sort(parts);
  std::vector<std::int64_t> expected;
  for (std::int64_t i = 0; i < GetParam(); ++i) expected.push_back(i);
  EXPECT_EQ(parts, expected);
  EXPECT_EQ(static_cast<std::int64_t>(threads.size()), GetParam());
  EXPECT_TRUE(threads.contains(std::this_thread::get_id()));
}

TEST_P(PoolTest, SplitCoversEveryItemOnceInWholeGrains) {
  Pool pool(GetParam());
  for (const std::int64_t items : {0, 1, 2, 3, 7, 64, 100, 1001})
    for (const std::int64_t grain : {1, 2, 6, 64, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(items));
      std::atomic<int> calls{0};
      pool.split(items, grain, [&](std::int64_t begin, std::int64_t end) {
        ++calls;
        EXPECT_LT(begin, end);
        EXPECT_EQ(begin % grain, 0) << "a grain was cut";
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      for (const auto& count : seen) EXPECT_EQ(count, 1);
      EXPECT_LE(calls, GetParam());
      EXPECT_LE(calls, (items + grain - 1) / grain);
    }
}

TEST_P(PoolTest, SplitGivesAPartTheSameItemsEveryTime) {
  Pool pool(GetParam());
  const auto cut = [&] {
    std::mutex mutex;
    std::set<std::pair<std::int64_t, std::int64_t>> runs;
    pool.split(103, 4, [&](std::int64_t begin, std::int64_t end) {
      const std::lock_guard lock(mutex);
      runs.insert({begin, end});
    });
    return runs;
  };
  const auto first = cut();
  for (int again = 0; again < 20; ++again) EXPECT_EQ(cut(), first);
}

TEST_P(PoolTest, SeesWhatTheLastRunWroteThousandsOfTimes) {
  Pool pool(GetParam());
  // Plain memory, handed from part to part: wrong without the fences between runs.
  std::vector<std::int64_t> value(static_cast<std::size_t>(GetParam()), 0);
  constexpr std::int64_t kRuns = 3000;
  for (std::int64_t i = 0; i < kRuns; ++i)
    pool.run([&](std::int64_t part) {
      const auto next = static_cast<std::size_t>((part + i) % GetParam());
      value[next] += 1;
    });
  for (const std::int64_t count : value) EXPECT_EQ(count, kRuns);
}

TEST_P(PoolTest, MayUseAnotherPoolInsideATask) {
  Pool outer(GetParam());
  std::atomic<std::int64_t> items{0};
  outer.run([&](std::int64_t) {
    Pool inner(2);
    inner.split(10, 1, [&](std::int64_t begin, std::int64_t end) { items += end - begin; });
  });
  EXPECT_EQ(items, 10 * GetParam());
}

TEST_P(PoolTest, WakesSleepingWorkers) {
  Pool pool(GetParam());
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // past the spinning
    std::atomic<std::int64_t> parts{0};
    pool.run([&](std::int64_t) { ++parts; });
    EXPECT_EQ(parts, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, PoolTest, testing::Values(1, 2, 3, 4),
                         [](const auto& count) { return std::to_string(count.param); });

TEST(Pool, PinnedToMoreThreadsThanProcessorsStillRuns) {
  Pool pool(static_cast<std::int64_t>(std::thread::hardware_concurrency()) + 2, true);
  std::atomic<std::int64_t> parts{0};
  pool.run([&](std::int64_t) { ++parts; });
  EXPECT_EQ(parts, pool.threads());
}

TEST(Pool, PinsItsThreadsAndGivesTheCallerItsProcessorsBack) {
  const std::vector<int> before = own_mask();
  const int last = before.back();
  {
    Pool pool(Placement{.threads = 3, .pins = {last, last, before.front()}, .share = {last}});
    std::vector<std::vector<int>> masks(3);
    pool.run([&](std::int64_t part) { masks[static_cast<std::size_t>(part)] = own_mask(); });
    EXPECT_EQ(masks[0], std::vector<int>{last}) << "its share";
    EXPECT_EQ(masks[1], std::vector<int>{last});
    EXPECT_EQ(masks[2], std::vector<int>{before.front()});
  }
  EXPECT_EQ(own_mask(), before);
}

TEST(Pool, ThatIsNotPinnedMayUseWhatTheCallerMay) {
  Pool pool(Placement{.threads = 2, .share = {0}});
  std::vector<std::vector<int>> masks(2);
  pool.run([&](std::int64_t part) { masks[static_cast<std::size_t>(part)] = own_mask(); });
  EXPECT_EQ(masks[0], own_mask());
  EXPECT_EQ(masks[1], own_mask());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// In a process of its own, whose address space has room for few stacks.
TEST(PoolDeathTest, AThreadThatCannotStartIsAnErrorAndNoHang) {
  const auto start_too_many = [] {
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = rlim_t{1} << 29;
    setrlimit(RLIMIT_AS, &limit);
    const auto pool = Pool::start(1000);
    std::exit(!pool.ok() && pool.error().message.find("1000 threads") != std::string::npos ? 0 : 1);
  };
  EXPECT_EXIT(start_too_many(), testing::ExitedWithCode(0), "");
}
#endif

TEST(PoolDeathTest, HasAtLeastOneThread) {
  EXPECT_DEATH(Pool(0), "0 against 1");
}

TEST(Context, OfTheCpuKnowsItsPoolAndOfMetaHasNone) {
  Pool pool(3);
  const Context cpu = cpu_context(pool);
  EXPECT_EQ(cpu.threads, 3);
  EXPECT_FALSE(cpu.is_meta());
  EXPECT_EQ(cpu.isa, best_isa());
  const Context meta = meta_context(5);
  EXPECT_TRUE(meta.is_meta());
  EXPECT_EQ(meta.threads, 5);
  EXPECT_EQ(meta.pool, nullptr);
}

}  // namespace
}  // namespace boreal::device
