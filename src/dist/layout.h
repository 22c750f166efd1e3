// Layout: how the ranks of a world are cut along the axes of the mesh, as arithmetic; no world is
// needed. Axes from slowest to fastest: pp, dp_replicate, dp_shard, cp, tp, so that the ranks of a
// tensor-parallel group are neighbours:
//
//   rank = (((p R + r) S + s) C + c) T + t   with R, S, C, T ranks on the last four axes
//
// Thread rule: a value.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "spec/run_spec.h"

namespace boreal::dist {

enum class Axis : std::uint8_t { pp, dp_replicate, dp_shard, cp, tp };
inline constexpr std::array kAxes = {Axis::pp, Axis::dp_replicate, Axis::dp_shard, Axis::cp,
                                     Axis::tp};
std::string_view name_of(Axis axis);

// A rank's place on each axis, in the order of kAxes.
using Coordinate = std::array<std::int64_t, kAxes.size()>;

class Layout {
 public:
  // One rank.
  Layout() { sizes_.fill(1); }
  // Sizes from 1 up with a product below 2^63; spec::validate sees to that.
  explicit Layout(const spec::MeshSpec& mesh);

  std::int64_t size(Axis axis) const { return sizes_[static_cast<std::size_t>(axis)]; }
  std::int64_t ranks() const;

  Coordinate coordinate(std::int64_t rank) const;
  std::int64_t rank(const Coordinate& at) const;
  // The ranks, rising, that differ from `at` on these axes only; it is one of them.
  std::vector<std::int64_t> ranks_along(std::initializer_list<Axis> axes,
                                        const Coordinate& at) const;

  // Ranks of one batch index read the same rows; index i of n takes the i-th of n equal parts.
  std::int64_t batch_parts() const { return size(Axis::dp_replicate) * size(Axis::dp_shard); }
  std::int64_t batch_index(const Coordinate& at) const;

  // Axes of one rank are left out: "dp_shard 2 x tp 2", or "one rank".
  std::string text() const;
  // "dp_shard 1, tp 0", or "the only rank".
  std::string text_of(const Coordinate& at) const;
  // "dp_shard x tp"; "" if none of them has more than one rank.
  std::string text_of(std::initializer_list<Axis> axes) const;

  friend bool operator==(const Layout&, const Layout&) = default;

 private:
  std::array<std::int64_t, kAxes.size()> sizes_;
};

}  // namespace boreal::dist
