#include "dist/place_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>

namespace boreal::dist {
namespace {

using testing::ElementsAre;

TEST(HostRanks, AreThoseOfTheSameNameInRankOrder) {
  const std::vector<std::string> texts = {processors_text("a", {0, 1}), processors_text("b", {0}),
                                          processors_text("a", {2, 3, 8}),
                                          processors_text("a b", {5})};
  const device::HostRanks ranks = host_ranks(texts, 2);
  EXPECT_EQ(ranks.local_rank, 1);
  EXPECT_THAT(ranks.masks, ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3, 8)));
  EXPECT_THAT(host_ranks(texts, 3).masks, ElementsAre(ElementsAre(5)));
}

TEST(PlaceRank, RanksOfOneProcessShareItsCoresOrAreNotPinned) {
  std::mutex mutex;
  std::set<int> used;
  const Status status = run_world("threads:2", {}, [&](World& world) -> Status {
    const device::Placement placement = place_rank(world, device::Machine{.core_time = 0}, 1);
    EXPECT_EQ(placement.threads, 1) << placement.why;
    const std::lock_guard lock(mutex);
    for (const int cpu : placement.pins) EXPECT_TRUE(used.insert(cpu).second) << cpu;
    return Done{};
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
}

}  // namespace
}  // namespace boreal::dist
