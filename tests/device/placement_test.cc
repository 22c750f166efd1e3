#include "device/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace boreal::device {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Mask = std::vector<int>;

Host machine(const std::string& synthetic) {
  auto host = imagined_host(synthetic);
  EXPECT_TRUE(host.ok());
  return *host;
}

Mask all_of(const Host& host) {
  Mask mask;
  for (const Core& core : host.cores)
    mask.insert(mask.end(), core.processors.begin(), core.processors.end());
  std::ranges::sort(mask);
  return mask;
}

// All ranks of a host whose launcher bound nothing.
std::vector<Placement> place_unbound(const Host& host, std::int64_t ranks,
                                     std::int64_t threads = 0) {
  std::vector<Placement> placements;
  for (std::int64_t i = 0; i < ranks; ++i)
    placements.push_back(
        place(host, {.masks = std::vector<Mask>(static_cast<std::size_t>(ranks), all_of(host)),
                     .local_rank = i,
                     .threads = threads}));
  return placements;
}

// Two nodes of four cores with two hyperthreads: processors 0-7 are node 0, neighbours share a
// core.
const char* const kTwoNodes = "numa:2 core:4 pu:2";

TEST(Placement, OneRankTakesACoreAThreadAndTheWholeHost) {
  const Host host = machine(kTwoNodes);
  const Placement placement = place_unbound(host, 1).front();
  EXPECT_EQ(placement.threads, 8);
  EXPECT_THAT(placement.pins, ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
  EXPECT_EQ(placement.share, all_of(host));
  EXPECT_EQ(placement.why, "all 8 cores");
}

TEST(Placement, RanksOfAHostShareNoCoreAndStayInOneNode) {
  const Host host = machine(kTwoNodes);
  const auto two = place_unbound(host, 2);
  EXPECT_THAT(two[0].pins, ElementsAre(0, 2, 4, 6));
  EXPECT_THAT(two[1].pins, ElementsAre(8, 10, 12, 14));
  EXPECT_THAT(two[1].share, ElementsAre(8, 9, 10, 11, 12, 13, 14, 15)) << "with the hyperthreads";
  EXPECT_EQ(two[1].why, "4 of 8 cores, in one NUMA node");
  // Three ranks of two cores: none reaches over both nodes.
  const auto three = place_unbound(host, 3);
  EXPECT_THAT(three[0].pins, ElementsAre(0, 2));
  EXPECT_THAT(three[1].pins, ElementsAre(4, 6));
  EXPECT_THAT(three[2].pins, ElementsAre(8, 10));
}

TEST(Placement, ANodeIsSplitWhereOtherwiseCoresWouldBeLost) {
  const auto three = place_unbound(machine("numa:2 core:3 pu:1"), 3);
  EXPECT_THAT(three[1].pins, ElementsAre(2, 3));
  EXPECT_EQ(three[1].why, "2 of 6 cores");
  const auto two = place_unbound(machine("numa:4 core:2 pu:1"), 2);
  EXPECT_THAT(two[1].pins, ElementsAre(4, 5, 6, 7)) << "two whole nodes";
}

TEST(Placement, FewRanksAreSpreadOverTheNodes) {
  const auto five = place_unbound(machine("numa:2 core:4 pu:1"), 5);
  std::vector<int> pins;
  for (const Placement& placement : five) pins.push_back(placement.pins.front());
  EXPECT_THAT(pins, ElementsAre(0, 1, 3, 4, 6));
}

TEST(Placement, HoldsForEveryNumberOfRanksAndThreads) {
  for (const char* synthetic : {"core:7 pu:1", "numa:2 core:5 pu:2", "numa:3 core:4 pu:4"}) {
    const Host host = machine(synthetic);
    for (std::int64_t ranks = 1; ranks <= std::ssize(host.cores); ++ranks) {
      std::set<int> used;
      for (const Placement& p : place_unbound(host, ranks)) {
        EXPECT_EQ(p.threads, std::ssize(host.cores) / ranks) << synthetic << ": " << ranks;
        EXPECT_EQ(std::ssize(p.pins), p.threads);
        EXPECT_TRUE(std::ranges::is_sorted(p.share));
        for (const int cpu : p.share) EXPECT_TRUE(used.insert(cpu).second) << cpu << " has two";
        for (const int cpu : p.pins) EXPECT_TRUE(std::ranges::count(p.share, cpu) == 1);
        for (const Core& core : host.cores) {
          const auto own = std::ranges::count_if(
              core.processors, [&](int cpu) { return std::ranges::binary_search(p.share, cpu); });
          EXPECT_TRUE(own == 0 || own == std::ssize(core.processors)) << "a core is cut";
        }
      }
    }
  }
}

TEST(Placement, ThreadsThatWereAskedForTakeCoresFirstThenHyperthreads) {
  const Host host = machine(kTwoNodes);
  EXPECT_THAT(place_unbound(host, 2, 3)[1].pins, ElementsAre(8, 10, 12));
  EXPECT_THAT(place_unbound(host, 2, 6)[1].pins, ElementsAre(8, 10, 12, 14, 9, 11));
  const Placement many = place_unbound(host, 2, 9)[1];
  EXPECT_EQ(many.threads, 9);
  EXPECT_THAT(many.pins, IsEmpty());
  EXPECT_EQ(many.share.size(), 8U);
}

TEST(Placement, MoreRanksThanCoresHaveAThreadEachThatIsNotPinned) {
  const Placement placement = place_unbound(machine("core:2 pu:2"), 3)[2];
  EXPECT_EQ(placement.threads, 1);
  EXPECT_THAT(placement.pins, IsEmpty());
  EXPECT_EQ(placement.why, "3 ranks on 2 cores; not pinned");
  EXPECT_EQ(place_unbound(machine("core:2 pu:2"), 3, 2)[2].threads, 2);
}

TEST(Placement, ALauncherThatBoundEachRankIsFollowed) {
  const Placement placement =
      place(machine(kTwoNodes), {.masks = {{0, 1}, {2, 3, 4, 5, 8}}, .local_rank = 1});
  EXPECT_EQ(placement.threads, 3);
  EXPECT_THAT(placement.pins, ElementsAre(2, 4, 8));
  EXPECT_EQ(placement.why, "3 cores, bound by the launcher");
}

TEST(Placement, RanksThatWereBoundToTheSameNodeCutItBetweenThem) {
  const Mask low = {0, 1, 2, 3, 4, 5, 6, 7};
  const Mask high = {8, 9, 10, 11, 12, 13, 14, 15};
  const Placement placement =
      place(machine(kTwoNodes), {.masks = {low, high, low, high}, .local_rank = 3});
  EXPECT_THAT(placement.pins, ElementsAre(12, 14));
  EXPECT_THAT(placement.share, ElementsAre(12, 13, 14, 15));
}

TEST(Placement, RanksWhoseProcessorsCrossAreLeftToTheSystem) {
  const Placement placement =
      place(machine("core:4 pu:1"), {.masks = {{0, 1, 2}, {1, 2, 3}}, .local_rank = 1});
  EXPECT_EQ(placement.threads, 1);
  EXPECT_THAT(placement.pins, IsEmpty());
  EXPECT_THAT(placement.why, HasSubstr("3 cores, some of which 1 other ranks may use"));
}

TEST(Placement, AQuotaOfTimeIsSharedAndNotPinned) {
  const Host host = machine("core:8 pu:1");
  HostRanks ranks{.masks = {all_of(host), all_of(host)}, .core_time = 4};
  const Placement placement = place(host, ranks);
  EXPECT_EQ(placement.threads, 2);
  EXPECT_THAT(placement.pins, IsEmpty());
  EXPECT_EQ(placement.why, "the cgroup gives the time of 4 cores; not pinned");
  ranks.core_time = 8;
  EXPECT_EQ(place(host, ranks).pins.size(), 4U) << "as much time as cores";
}

TEST(Placement, AProcessorThatTheTopologyDoesNotKnowIsACore) {
  EXPECT_THAT(place(machine("core:2 pu:1"), {.masks = {{0, 1, 9}}}).pins, ElementsAre(0, 1, 9));
}

TEST(Host, OfThisMachineHoldsTheProcessorsOfThisProcess) {
  const Host host = read_host();
  const Mask all = all_of(host);
  for (const int cpu : own_mask()) EXPECT_TRUE(std::ranges::binary_search(all, cpu)) << cpu;
  EXPECT_TRUE(std::ranges::adjacent_find(all) == all.end()) << "a processor has two cores";
}

TEST(Host, ThatIsImaginedIsSaidInHwlocsWords) {
  const Host host = machine("numa:2 core:2 pu:1");
  ASSERT_EQ(host.cores.size(), 4U);
  EXPECT_EQ(host.cores[1].node, 0);
  EXPECT_EQ(host.cores[2].node, 1);
  EXPECT_FALSE(imagined_host("two nodes").ok());
}

TEST(Mask, IsWrittenAsRangesAndReadBack) {
  for (const char* text : {"", "0", "0-3", "0-3,8", "1,3,5-6,1023"}) {
    const auto mask = parse_mask(text);
    ASSERT_TRUE(mask.ok()) << text;
    EXPECT_EQ(mask_text(*mask), text);
  }
  for (const char* text : {",", "1,", "3-1", "1 2", "-1", "0-", "2,1", "1-2-3", "99999999", "a"})
    EXPECT_FALSE(parse_mask(text).ok()) << text;
}

}  // namespace
}  // namespace boreal::device
