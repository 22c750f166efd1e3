#include "dist/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace boreal::dist {
namespace {

using testing::ElementsAre;
using Ranks = std::vector<std::int64_t>;

// 2 x 3 x 5 x 7 x 11: no two axes can be mistaken for each other.
const Layout kLayout(spec::MeshSpec{.dp_replicate = 3, .dp_shard = 5, .tp = 11, .pp = 2, .cp = 7});

TEST(Layout, CountsRanksFromTheSlowestAxisToTheFastest) {
  EXPECT_EQ(kLayout.ranks(), 2 * 3 * 5 * 7 * 11);
  EXPECT_EQ(kLayout.rank({1, 2, 4, 6, 10}), kLayout.ranks() - 1);
  EXPECT_EQ(kLayout.rank({1, 2, 3, 4, 5}), (((1 * 3 + 2) * 5 + 3) * 7 + 4) * 11 + 5);
  EXPECT_THAT(kLayout.coordinate(11), ElementsAre(0, 0, 0, 1, 0)) << "past one row of tp";
}

TEST(Layout, EveryRankHasACoordinateOfItsOwnThatLeadsBackToIt) {
  std::set<Coordinate> seen;
  for (std::int64_t rank = 0; rank < kLayout.ranks(); ++rank) {
    const Coordinate at = kLayout.coordinate(rank);
    EXPECT_EQ(kLayout.rank(at), rank);
    EXPECT_TRUE(seen.insert(at).second);
  }
}

TEST(Layout, RanksAlongAnAxisAreNeighboursOnTheFastestAndFarApartOnTheSlowest) {
  const Layout layout(spec::MeshSpec{.dp_replicate = 2, .dp_shard = 2, .tp = 2});
  const Coordinate at = layout.coordinate(5);
  EXPECT_EQ(layout.ranks_along({Axis::tp}, at), (Ranks{4, 5}));
  EXPECT_EQ(layout.ranks_along({Axis::dp_shard}, at), (Ranks{5, 7}));
  EXPECT_EQ(layout.ranks_along({Axis::dp_replicate}, at), (Ranks{1, 5}));
  EXPECT_EQ(layout.ranks_along({Axis::dp_shard, Axis::tp}, at), (Ranks{4, 5, 6, 7}));
  EXPECT_EQ(layout.ranks_along({Axis::dp_shard, Axis::dp_replicate}, at), (Ranks{1, 3, 5, 7}));
  EXPECT_EQ(layout.ranks_along({Axis::pp}, at), (Ranks{5}));
  EXPECT_EQ(layout.ranks_along({}, at), (Ranks{5}));
}

TEST(Layout, RanksAlongASetOfAxesRiseAndCutTheWorldIntoEqualParts) {
  for (const auto axes : {std::initializer_list<Axis>{Axis::pp, Axis::tp},
                          {Axis::dp_replicate, Axis::dp_shard},
                          {Axis::cp},
                          {Axis::pp, Axis::dp_replicate, Axis::dp_shard, Axis::cp, Axis::tp}}) {
    std::set<Ranks> groups;
    for (std::int64_t rank = 0; rank < kLayout.ranks(); ++rank) {
      const Ranks ranks = kLayout.ranks_along(axes, kLayout.coordinate(rank));
      EXPECT_TRUE(std::ranges::is_sorted(ranks));
      EXPECT_EQ(std::ranges::count(ranks, rank), 1);
      groups.insert(ranks);
    }
    std::int64_t ranks = 0;
    for (const Ranks& group : groups) ranks += std::ssize(group);
    EXPECT_EQ(ranks, kLayout.ranks()) << "the groups overlap or leave ranks out";
  }
}

TEST(Layout, RanksOfOneBatchIndexDifferInPpCpAndTpOnly) {
  EXPECT_EQ(kLayout.batch_parts(), 15);
  std::map<std::int64_t, std::int64_t> ranks_of;
  for (std::int64_t rank = 0; rank < kLayout.ranks(); ++rank) {
    const Coordinate at = kLayout.coordinate(rank);
    EXPECT_EQ(kLayout.batch_index(at), at[1] * 5 + at[2]);
    ++ranks_of[kLayout.batch_index(at)];
  }
  ASSERT_EQ(ranks_of.size(), 15U);
  EXPECT_EQ(ranks_of.begin()->first, 0);
  for (const auto& [index, ranks] : ranks_of) EXPECT_EQ(ranks, 2 * 7 * 11) << index;
}

TEST(Layout, IsSaidWithoutTheAxesOfOneRank) {
  const Layout layout(spec::MeshSpec{.dp_shard = 4, .tp = 2});
  EXPECT_EQ(layout.text(), "dp_shard 4 x tp 2");
  EXPECT_EQ(layout.text_of(layout.coordinate(5)), "dp_shard 2, tp 1");
  EXPECT_EQ(layout.text_of({Axis::dp_replicate, Axis::dp_shard}), "dp_shard");
  EXPECT_EQ(layout.text_of({Axis::tp, Axis::dp_shard}), "dp_shard x tp");
  EXPECT_EQ(layout.text_of({Axis::pp}), "");
  EXPECT_EQ(Layout().text(), "one rank");
  EXPECT_EQ(Layout().text_of(Coordinate{}), "the only rank");
}

TEST(LayoutDeathTest, HasNoPlaceOutsideItself) {
  EXPECT_DEATH((void)Layout().coordinate(1), "rank 1 of 1");
  EXPECT_DEATH((void)kLayout.rank({0, 3, 0, 0, 0}), "dp_replicate 3 of 3");
}

}  // namespace
}  // namespace boreal::dist
