// The mesh over a world's groups.
#include "dist/mesh.h"

namespace boreal::dist {

Result<DeviceMesh> DeviceMesh::make(World& world, const spec::MeshSpec& mesh) {
  const Layout layout(mesh);
  if (layout.ranks() != world.size())
    return wrong_usage("mesh: {} = {} ranks, but the world has {}", layout.text(), layout.ranks(),
                       world.size());
  DeviceMesh made(layout, world.rank(), world.all(),
                  [&](const std::vector<std::int64_t>& ranks, const std::string& axis) {
                    return world.group(ranks, axis);
                  });
  world.describe(made.text());
  return made;
}

}  // namespace boreal::dist
