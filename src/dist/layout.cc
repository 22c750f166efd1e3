#include "dist/layout.h"

#include <algorithm>

#include "base/check.h"

namespace boreal::dist {

std::string_view name_of(Axis axis) {
  switch (axis) {
    case Axis::pp: return "pp";
    case Axis::dp_replicate: return "dp_replicate";
    case Axis::dp_shard: return "dp_shard";
    case Axis::cp: return "cp";
    case Axis::tp: return "tp";
  }
  return "?";
}

Layout::Layout(const spec::MeshSpec& mesh)
    : sizes_{mesh.pp, mesh.dp_replicate, mesh.dp_shard, mesh.cp, mesh.tp} {
  for (const std::int64_t size : sizes_) CHECK_GE(size, 1);
}

std::int64_t Layout::ranks() const {
  std::int64_t ranks = 1;
  for (const std::int64_t size : sizes_) ranks *= size;
  return ranks;
}

Coordinate Layout::coordinate(std::int64_t rank) const {
  CHECK(rank >= 0 && rank < ranks(), "rank {} of {}", rank, ranks());
  Coordinate at{};
  for (std::size_t i = at.size(); i-- > 0; rank /= sizes_[i]) at[i] = rank % sizes_[i];
  return at;
}

std::int64_t Layout::rank(const Coordinate& at) const {
  std::int64_t rank = 0;
  for (std::size_t i = 0; i < at.size(); ++i) {
    CHECK(at[i] >= 0 && at[i] < sizes_[i], "{} {} of {}", name_of(kAxes[i]), at[i], sizes_[i]);
    rank = rank * sizes_[i] + at[i];
  }
  return rank;
}

std::vector<std::int64_t> Layout::ranks_along(std::initializer_list<Axis> axes,
                                              const Coordinate& at) const {
  Layout along;
  for (const Axis axis : axes) along.sizes_[static_cast<std::size_t>(axis)] = size(axis);
  std::vector<std::int64_t> ranks;
  ranks.reserve(static_cast<std::size_t>(along.ranks()));
  for (std::int64_t i = 0; i < along.ranks(); ++i) {
    Coordinate other = along.coordinate(i);
    for (std::size_t axis = 0; axis < at.size(); ++axis)
      if (std::ranges::find(axes, kAxes[axis]) == axes.end()) other[axis] = at[axis];
    ranks.push_back(rank(other));
  }
  return ranks;
}

std::int64_t Layout::batch_index(const Coordinate& at) const {
  return at[static_cast<std::size_t>(Axis::dp_replicate)] * size(Axis::dp_shard) +
         at[static_cast<std::size_t>(Axis::dp_shard)];
}

std::string Layout::text() const {
  std::string text;
  for (const Axis axis : kAxes) {
    if (size(axis) == 1) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : " x ", name_of(axis), size(axis));
  }
  return text.empty() ? "one rank" : text;
}

std::string Layout::text_of(const Coordinate& at) const {
  std::string text;
  for (std::size_t i = 0; i < at.size(); ++i) {
    if (sizes_[i] == 1) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(kAxes[i]), at[i]);
  }
  return text.empty() ? "the only rank" : text;
}

std::string Layout::text_of(std::initializer_list<Axis> axes) const {
  std::string text;
  for (const Axis axis : kAxes) {
    if (size(axis) == 1 || std::ranges::find(axes, axis) == axes.end()) continue;
    text += fmt::format("{}{}", text.empty() ? "" : " x ", name_of(axis));
  }
  return text;
}

}  // namespace boreal::dist
