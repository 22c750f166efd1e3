#include "dist/mesh.h"

#include <algorithm>

#include "base/check.h"
#include "dist/layout_check.h"

namespace boreal::dist {

DeviceMesh::DeviceMesh(const Layout& layout, std::int64_t rank, Group all, const Make& make)
    : layout_(layout), at_(layout.coordinate(rank)), all_(std::move(all)) {
  // One list of ranks is one group with one name, whichever axes it is asked for by.
  const auto along = [&](std::initializer_list<Axis> axes) {
    const std::string name = layout_.text_of(axes);
    return name.empty() ? Group() : make(layout_.ranks_along(axes, at_), name);
  };
  tp_ = along({Axis::tp});
  dp_shard_ = along({Axis::dp_shard});
  dp_replicate_ = along({Axis::dp_replicate});
  dp_ = along({Axis::dp_replicate, Axis::dp_shard});
  state_ = along({Axis::dp_shard, Axis::tp});
}

DeviceMesh DeviceMesh::imagined(const Layout& layout, std::int64_t rank) {
  const auto make = [&](const std::vector<std::int64_t>& ranks, const std::string& axis) {
    const auto own = std::ranges::find(ranks, rank);
    CHECK(own != ranks.end(), "rank {} is not in its own group", rank);
    return Group::imagined(own - ranks.begin(), std::ssize(ranks), axis);
  };
  const std::int64_t ranks = layout.ranks();
  return {layout, rank, ranks == 1 ? Group() : Group::imagined(rank, ranks, "world"), make};
}

Result<DeviceMesh> DeviceMesh::make(World& world, const spec::MeshSpec& mesh) {
  RETURN_IF_ERROR(check_layout(mesh, {}, world.size()));
  DeviceMesh made(Layout(mesh), world.rank(), world.all(),
                  [&](const std::vector<std::int64_t>& ranks, const std::string& axis) {
                    return world.group(ranks, axis);
                  });
  world.describe(made.text());
  return made;
}

}  // namespace boreal::dist
