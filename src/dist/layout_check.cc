#include "dist/layout_check.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace boreal::dist {

namespace {

constexpr std::size_t kProposals = 3;

std::vector<std::int64_t> divisors(std::int64_t number) {
  std::vector<std::int64_t> all;
  for (std::int64_t i = 1; i <= number / i; ++i) {
    if (number % i != 0) continue;
    all.push_back(i);
    if (i != number / i) all.push_back(number / i);
  }
  return all;
}

// Kinds of parallelism that a spec can say and this version cannot do.
Status check_known(const spec::MeshSpec& mesh) {
  for (const auto& [key, size, what] : {std::tuple{"pp", mesh.pp, "pipeline stages"},
                                        {"cp", mesh.cp, "context-parallel ranks"},
                                        {"ep", mesh.ep, "expert-parallel ranks"}})
    if (size != 1)
      return wrong_usage("mesh.{} is {}, but {} come later; set mesh.{} to 1", key, size, what,
                         key);
  if (mesh.zero != 1 && mesh.dp_shard > 1)
    return wrong_usage(
        "mesh.zero is {}, but sharded {} come later; set mesh.zero to 1, which shards the "
        "optimizer's state over mesh.dp_shard ({})",
        mesh.zero, mesh.zero == 2 ? "gradients" : "gradients and weights", mesh.dp_shard);
  return Done{};
}

// How far a layout is from what was asked: axes that differ, factors between them, and what decides
// between equals.
using Distance = std::tuple<int, double, std::int64_t, std::int64_t>;

Distance distance(const Layout& from, const Layout& to) {
  int axes = 0;
  double factors = 0;
  for (const Axis axis : kAxes) {
    if (from.size(axis) == to.size(axis)) continue;
    ++axes;
    factors += std::abs(std::log2(static_cast<double>(from.size(axis))) -
                        std::log2(static_cast<double>(to.size(axis))));
  }
  // Rounded, so that equal factors are equal whatever the order of the axes.
  return {axes, std::round(factors * 1e6), -to.size(Axis::dp_shard), -to.size(Axis::dp_replicate)};
}

std::string texts(const std::vector<Layout>& layouts) {
  std::string text;
  for (const Layout& layout : layouts) text += (text.empty() ? "" : ", ") + layout.text();
  return text;
}

// What to take instead: other layouts of the world's ranks, or as many ranks as have one.
std::string proposals(const spec::MeshSpec& mesh, const spec::MeshWork& work, std::int64_t ranks) {
  if (ranks == 1) return "start as many ranks (--world threads:N or mpi), or set every axis to 1";
  const auto layouts = nearest_layouts(mesh, work, ranks, kProposals);
  if (!layouts.empty())
    return fmt::format("legal layouts of {} ranks nearest to it: {}", ranks, texts(layouts));
  // No legal mesh has more ranks than rows times heads.
  std::int64_t fewer = ranks - 1;
  if (work.batch_sequences > 0 && work.heads > 0)
    fewer = std::min(fewer, work.batch_sequences * work.heads);
  for (; fewer >= 1; --fewer) {
    const auto smaller = nearest_layouts(mesh, work, fewer, kProposals);
    if (!smaller.empty())
      return fmt::format(
          "no layout of {} ranks fits this model and batch; the most ranks below that have one are "
          "{}: {}",
          ranks, fewer, texts(smaller));
  }
  return "no layout of fewer ranks fits this model and batch either";
}

}  // namespace

std::vector<Layout> nearest_layouts(const spec::MeshSpec& mesh, const spec::MeshWork& work,
                                    std::int64_t ranks, std::size_t count) {
  std::vector<std::pair<Distance, Layout>> legal;
  const Layout asked(mesh);
  const auto sizes = divisors(ranks);
  for (const std::int64_t tp : sizes)
    for (const std::int64_t shard : sizes) {
      if (ranks / tp % shard != 0) continue;
      spec::MeshSpec other;
      other.sequence_parallel = mesh.sequence_parallel;
      other.dp_replicate = ranks / tp / shard;
      other.dp_shard = shard;
      other.tp = tp;
      if (spec::mesh_complaint(other, work)) continue;
      const Layout layout(other);
      legal.emplace_back(distance(asked, layout), layout);
    }
  std::ranges::sort(legal, {}, [](const auto& entry) { return entry.first; });
  std::vector<Layout> nearest;
  for (std::size_t i = 0; i < std::min(count, legal.size()); ++i)
    nearest.push_back(legal[i].second);
  return nearest;
}

Status check_layout(const spec::MeshSpec& mesh, const spec::MeshWork& work, std::int64_t ranks) {
  RETURN_IF_ERROR(check_known(mesh));
  const Layout layout(mesh);
  if (layout.ranks() != ranks) {
    const std::string size = layout.ranks() == 1 ? "" : fmt::format(" = {} ranks", layout.ranks());
    return wrong_usage("mesh: {}{}, but the world has {}; {}", layout.text(), size, ranks,
                       proposals(mesh, work, ranks));
  }
  if (auto complaint = spec::mesh_complaint(mesh, work)) {
    std::string& message = complaint->message;
    if (message.ends_with('.')) message.pop_back();
    return wrong_usage("{}; {}", message, proposals(mesh, work, ranks));
  }
  return Done{};
}

}  // namespace boreal::dist
