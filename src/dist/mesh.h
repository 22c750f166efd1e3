// DeviceMesh: a rank's place in a layout, and the groups along the axes of the mesh. What takes a
// group takes it from here; an axis of one rank gives the group of this rank alone.
//
// A group is named in traffic and messages by the axes of more than one rank that it spans:
// state() is "dp_shard x tp", and "tp" where dp_shard is 1, being the same group as tp() then.
// Thread rule: the thread that owns the rank; the world outlives the mesh.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dist/group.h"
#include "dist/layout.h"
#include "dist/world.h"

namespace boreal::dist {

class DeviceMesh {
 public:
  // This rank alone.
  DeviceMesh() = default;
  // Every rank of the world calls it. Tells the world this rank's coordinate. usage: as
  // check_layout (layout_check.h); the rules that need a model and a batch are the caller's to
  // check.
  static Result<DeviceMesh> make(World& world, const spec::MeshSpec& mesh);
  // One rank of a layout that is not there, for planning: groups with meta collectives only.
  static DeviceMesh imagined(const Layout& layout, std::int64_t rank);

  const Layout& layout() const { return layout_; }
  std::int64_t rank() const { return layout_.rank(at_); }
  const Coordinate& coordinate() const { return at_; }
  // "dp_shard 1, tp 0", or "the only rank".
  std::string text() const { return layout_.text_of(at_); }

  const Group& tp() const { return tp_; }
  const Group& dp_shard() const { return dp_shard_; }
  const Group& dp_replicate() const { return dp_replicate_; }
  // Ranks that hold the same tensor-parallel piece of the model: dp_replicate x dp_shard.
  const Group& dp() const { return dp_; }
  // Ranks that together hold one copy of the optimizer's state: dp_shard x tp. For norms.
  const Group& state() const { return state_; }
  const Group& all() const { return all_; }

  // The part of a step's batch that this rank reads.
  std::int64_t batch_index() const { return layout_.batch_index(at_); }
  std::int64_t batch_parts() const { return layout_.batch_parts(); }

 private:
  using Make = std::function<Group(const std::vector<std::int64_t>& ranks, const std::string&)>;
  DeviceMesh(const Layout& layout, std::int64_t rank, Group all, const Make& make);

  Layout layout_;
  Coordinate at_{};
  Group tp_, dp_shard_, dp_replicate_, dp_, state_, all_;
};

}  // namespace boreal::dist
