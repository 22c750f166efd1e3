#include "dist/layout_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boreal::dist {
namespace {

using spec::MeshSpec;
using spec::MeshWork;
using testing::HasSubstr;

constexpr MeshWork kWork{
    .heads = 8, .kv_heads = 2, .ffn = 512, .sequence = 256, .batch_sequences = 16};

std::string refusal(const MeshSpec& mesh, std::int64_t ranks, const MeshWork& work = kWork) {
  const Status status = check_layout(mesh, work, ranks);
  if (status.ok()) return "fits";
  EXPECT_EQ(status.error().kind, ErrorKind::usage);
  return status.error().message;
}

TEST(LayoutCheck, AMeshOfTheWorldsSizeThatSharesOutTheWorkFits) {
  EXPECT_EQ(refusal({}, 1), "fits");
  EXPECT_EQ(refusal({.dp_shard = 2, .tp = 2}, 4), "fits");
  EXPECT_EQ(refusal({.dp_replicate = 2, .dp_shard = 4, .tp = 8}, 64), "fits");
}

TEST(LayoutCheck, AMeshOfAnotherSizeIsRefusedWithTheNearestLayouts) {
  EXPECT_EQ(refusal({.dp_shard = 3, .tp = 2}, 4),
            "mesh: dp_shard 3 x tp 2 = 6 ranks, but the world has 4; legal layouts of 4 ranks "
            "nearest to it: dp_shard 2 x tp 2, dp_shard 4, dp_replicate 2 x tp 2");
  EXPECT_EQ(
      refusal({.dp_shard = 2}, 1),
      "mesh: dp_shard 2 = 2 ranks, but the world has 1; start as many ranks (--world threads:N "
      "or mpi), or set every axis to 1");
}

TEST(LayoutCheck, AMeshThatSaysNothingIsNotGuessed) {
  EXPECT_EQ(refusal({}, 4),
            "mesh: one rank, but the world has 4; legal layouts of 4 ranks nearest to it: "
            "dp_shard 4, dp_replicate 4, tp 4");
}

TEST(LayoutCheck, WorkThatCannotBeSharedOutIsRefusedWithTheNearestLayouts) {
  EXPECT_EQ(refusal({.tp = 16}, 16),
            "mesh.tp is 16, which does not divide model.heads (8): each rank takes an equal share "
            "of the heads; legal layouts of 16 ranks nearest to it: dp_shard 2 x tp 8, "
            "dp_replicate 2 x tp 8, dp_shard 4 x tp 4");
  EXPECT_THAT(refusal({.dp_shard = 32}, 32),
              HasSubstr("train.batch_sequences is 16, which mesh.dp_replicate x mesh.dp_shard (1 x "
                        "32) does not divide: each rank takes as many rows; legal layouts of 32 "
                        "ranks nearest to it: dp_shard 16 x tp 2"));
}

TEST(LayoutCheck, WhereNoLayoutOfSoManyRanksFitsTheMostThatDoAreNamed) {
  EXPECT_THAT(refusal({}, 7),
              HasSubstr("no layout of 7 ranks fits this model and batch; the most ranks below that "
                        "have one are 4: dp_shard 4"));
  EXPECT_THAT(refusal({}, 1 << 20), HasSubstr("below that have one are 128: "));
}

TEST(LayoutCheck, ProposalsAreLegalTheNearestFirstAndAllThatThereAre) {
  const MeshSpec asked{.dp_replicate = 2, .dp_shard = 2, .tp = 2};
  for (std::int64_t ranks = 1; ranks <= 130; ++ranks) {
    const auto layouts = nearest_layouts(asked, kWork, ranks, 1000);
    // tp 1, 2, 4, 8 and dp a divisor of 16, split in two.
    std::size_t expected = 0;
    for (const std::int64_t tp : {1, 2, 4, 8})
      for (const std::int64_t shard : {1, 2, 4, 8, 16})
        for (const std::int64_t replicate : {1, 2, 4, 8, 16})
          if (shard * replicate <= 16 && tp * shard * replicate == ranks) ++expected;
    EXPECT_EQ(layouts.size(), expected) << ranks;
    for (const Layout& layout : layouts)
      EXPECT_EQ(refusal({.dp_replicate = layout.size(Axis::dp_replicate),
                         .dp_shard = layout.size(Axis::dp_shard),
                         .tp = layout.size(Axis::tp)},
                        ranks),
                "fits");
    EXPECT_EQ(nearest_layouts(asked, kWork, ranks, 2).size(), std::min<std::size_t>(expected, 2));
  }
  EXPECT_EQ(nearest_layouts(asked, kWork, 8, 1).front(), Layout(asked));
}

TEST(LayoutCheck, WhatIsNotKnownYetIsNotChecked) {
  EXPECT_EQ(refusal({.dp_shard = 7, .tp = 13}, 91, MeshWork{}), "fits");
}

TEST(LayoutCheck, WhatComesLaterIsSaidToComeLater) {
  EXPECT_EQ(refusal({.pp = 2}, 2),
            "mesh.pp is 2, but pipeline stages come later; set mesh.pp to 1");
  EXPECT_THAT(refusal({.cp = 2}, 2), HasSubstr("context-parallel ranks come later"));
  EXPECT_THAT(refusal({.tp = 2, .ep = 2}, 2), HasSubstr("expert-parallel ranks come later"));
  EXPECT_EQ(refusal({.dp_shard = 2, .zero = 3}, 2),
            "mesh.zero is 3, but sharded gradients and weights come later; set mesh.zero to 1, "
            "which shards the optimizer's state over mesh.dp_shard (2)");
  EXPECT_THAT(refusal({.dp_shard = 2, .zero = 2}, 2), HasSubstr("sharded gradients come later"));
  EXPECT_EQ(refusal({.dp_replicate = 2, .zero = 3}, 2), "fits") << "nothing is sharded";
}

}  // namespace
}  // namespace boreal::dist
