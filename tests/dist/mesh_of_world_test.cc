#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/mesh.h"

namespace boreal::dist {
namespace {

using testing::HasSubstr;

// The sum over a group of what says which world rank a member is.
double sum_of_ranks(const Group& group, const World& world) {
  return group.sum(static_cast<double>(std::int64_t{1} << world.rank()));
}

double sum_of(const std::vector<std::int64_t>& ranks) {
  double sum = 0;
  for (const std::int64_t rank : ranks) sum += static_cast<double>(std::int64_t{1} << rank);
  return sum;
}

TEST(MeshOfWorld, ItsGroupsHaveTheRanksAlongTheirAxes) {
  const spec::MeshSpec spec{.dp_replicate = 2, .dp_shard = 2, .tp = 2};
  const Layout layout(spec);
  const Status status = run_world("threads:8", {}, [&](World& world) -> Status {
    ASSIGN_OR_RETURN(const DeviceMesh mesh, DeviceMesh::make(world, spec));
    EXPECT_EQ(mesh.rank(), world.rank());
    const Coordinate at = layout.coordinate(world.rank());
    const auto expect = [&](const Group& group, std::initializer_list<Axis> axes) {
      const auto ranks = layout.ranks_along(axes, at);
      EXPECT_EQ(group.axis(), layout.text_of(axes));
      EXPECT_EQ(group.size(), std::ssize(ranks));
      EXPECT_EQ(group.world_rank(group.rank()), world.rank());
      EXPECT_EQ(sum_of_ranks(group, world), sum_of(ranks)) << group.axis();
    };
    expect(mesh.tp(), {Axis::tp});
    expect(mesh.dp_shard(), {Axis::dp_shard});
    expect(mesh.dp_replicate(), {Axis::dp_replicate});
    expect(mesh.dp(), {Axis::dp_replicate, Axis::dp_shard});
    expect(mesh.state(), {Axis::dp_shard, Axis::tp});
    EXPECT_EQ(sum_of_ranks(mesh.all(), world), 255);
    return Done{};
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST(MeshOfWorld, ImaginesTheGroupsThatTheWorldGives) {
  for (const spec::MeshSpec& spec : {spec::MeshSpec{.dp_shard = 4},
                                     {.tp = 4},
                                     {.dp_replicate = 2, .tp = 2},
                                     {.dp_replicate = 4}}) {
    const Status status = run_world("threads:4", {}, [&](World& world) -> Status {
      ASSIGN_OR_RETURN(const DeviceMesh mesh, DeviceMesh::make(world, spec));
      const DeviceMesh imagined = DeviceMesh::imagined(Layout(spec), world.rank());
      for (const auto group : {&DeviceMesh::tp, &DeviceMesh::dp_shard, &DeviceMesh::dp_replicate,
                               &DeviceMesh::dp, &DeviceMesh::state, &DeviceMesh::all}) {
        EXPECT_EQ((mesh.*group)().rank(), (imagined.*group)().rank());
        EXPECT_EQ((mesh.*group)().size(), (imagined.*group)().size());
        EXPECT_EQ((mesh.*group)().axis(), (imagined.*group)().axis());
      }
      return Done{};
    });
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
}

TEST(MeshOfWorld, OfAnotherSizeIsRefusedOnEveryRank) {
  const Status status = run_world("threads:2", {}, [](World& world) -> Status {
    const auto mesh = DeviceMesh::make(world, spec::MeshSpec{.dp_shard = 3});
    EXPECT_FALSE(mesh.ok());
    return mesh.ok() ? Status(Done{}) : Status(mesh.error());
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::usage);
  EXPECT_THAT(status.error().message, HasSubstr("dp_shard 3 = 3 ranks, but the world has 2"));
}

}  // namespace
}  // namespace boreal::dist
