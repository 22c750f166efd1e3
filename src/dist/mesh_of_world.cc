// The mesh over a world's groups.
#include "dist/layout_check.h"
#include "dist/mesh.h"

namespace boreal::dist {

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
