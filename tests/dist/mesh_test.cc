#include "dist/mesh.h"

#include <gtest/gtest.h>

namespace boreal::dist {
namespace {

void expect_group(const Group& group, std::int64_t rank, std::int64_t size, std::string_view axis) {
  EXPECT_EQ(group.rank(), rank) << axis;
  EXPECT_EQ(group.size(), size) << axis;
  EXPECT_EQ(group.axis(), axis);
}

TEST(Mesh, OfThisRankAloneHasGroupsOfOne) {
  const DeviceMesh mesh;
  for (const Group* group :
       {&mesh.tp(), &mesh.dp_shard(), &mesh.dp_replicate(), &mesh.dp(), &mesh.state(), &mesh.all()})
    expect_group(*group, 0, 1, "");
  EXPECT_EQ(mesh.rank(), 0);
  EXPECT_EQ(mesh.batch_parts(), 1);
  EXPECT_EQ(mesh.text(), "the only rank");
}

TEST(Mesh, ImaginedHasTheGroupsOfOneRankOfTheLayout) {
  const Layout layout(spec::MeshSpec{.dp_replicate = 2, .dp_shard = 3, .tp = 4});
  const DeviceMesh mesh = DeviceMesh::imagined(layout, layout.rank({0, 1, 2, 0, 3}));
  expect_group(mesh.tp(), 3, 4, "tp");
  expect_group(mesh.dp_shard(), 2, 3, "dp_shard");
  expect_group(mesh.dp_replicate(), 1, 2, "dp_replicate");
  expect_group(mesh.dp(), 5, 6, "dp_replicate x dp_shard");
  expect_group(mesh.state(), 11, 12, "dp_shard x tp");
  expect_group(mesh.all(), 23, 24, "world");
  EXPECT_EQ(mesh.batch_index(), 5);
  EXPECT_EQ(mesh.batch_parts(), 6);
  EXPECT_EQ(mesh.text(), "dp_replicate 1, dp_shard 2, tp 3");
}

TEST(Mesh, AGroupIsNamedByTheAxesThatItSpans) {
  const DeviceMesh mesh =
      DeviceMesh::imagined(Layout(spec::MeshSpec{.dp_replicate = 2, .tp = 2}), 3);
  expect_group(mesh.dp_shard(), 0, 1, "");
  expect_group(mesh.dp(), 1, 2, "dp_replicate");
  expect_group(mesh.state(), 1, 2, "tp");
}

}  // namespace
}  // namespace boreal::dist
