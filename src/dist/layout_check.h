// Whether a layout fits the world, the model and the batch, and which layouts would. One rule of
// what a mesh can share out is in spec/validate.h; here is what the ranks add, and what this
// version cannot do yet. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "dist/layout.h"
#include "spec/validate.h"

namespace boreal::dist {

// usage: not as many ranks as the mesh has, work that it cannot share out, a kind of parallelism
// that comes later. Names the nearest legal layouts of so many ranks.
Status check_layout(const spec::MeshSpec& mesh, const spec::MeshWork& work, std::int64_t ranks);

// Legal layouts of so many ranks, at most `count` of them, the nearest to `mesh` first: the fewest
// other axes, then the smallest factors; of equals the one with more of dp_shard, then of
// dp_replicate.
std::vector<Layout> nearest_layouts(const spec::MeshSpec& mesh, const spec::MeshWork& work,
                                    std::int64_t ranks, std::size_t count);

}  // namespace boreal::dist
