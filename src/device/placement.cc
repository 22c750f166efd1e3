#include "device/placement.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace boreal::device {

namespace {

using Cores = std::vector<Core>;

// The host's cores, with only the processors of the mask; one the host does not know is a core.
Cores within(const Host& host, std::vector<int> mask) {
  Cores cores;
  for (const Core& core : host.cores) {
    Core part{.node = core.node};
    for (const int cpu : core.processors)
      if (std::erase(mask, cpu) > 0) part.processors.push_back(cpu);
    if (!part.processors.empty()) cores.push_back(std::move(part));
  }
  for (const int cpu : mask) cores.push_back({.processors = {cpu}});
  return cores;
}

bool overlap(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return !both.empty();
}

// The run of cores of the i-th of so many ranks. All take equally many: the slowest rank sets the
// pace of all.
Cores part_of(const Cores& cores, std::size_t i, std::size_t ranks) {
  const std::size_t each = cores.size() / ranks;
  const auto run = [&](std::size_t begin) {
    const auto at = cores.begin() + static_cast<std::ptrdiff_t>(begin);
    return Cores(at, at + static_cast<std::ptrdiff_t>(each));
  };
  // Where each rank's run begins if none may reach over the end of a node.
  std::vector<std::size_t> begins;
  for (std::size_t node = 0; node < cores.size();) {
    std::size_t end = node;
    while (end < cores.size() && cores[end].node == cores[node].node) ++end;
    for (; node + each <= end; node += each) begins.push_back(node);
    node = end;
  }
  // Spread over the nodes, whose memory is faster together.
  return run(begins.size() >= ranks ? begins[i * begins.size() / ranks] : i * each);
}

std::vector<int> processors_of(const Cores& cores) {
  std::vector<int> all;
  for (const Core& core : cores)
    all.insert(all.end(), core.processors.begin(), core.processors.end());
  std::ranges::sort(all);
  return all;
}

// One processor of each core, then the second ones, and so on.
std::vector<int> cores_first(const Cores& cores) {
  std::vector<int> all;
  const std::size_t count = processors_of(cores).size();
  for (std::size_t thread = 0; all.size() < count; ++thread)
    for (const Core& core : cores)
      if (thread < core.processors.size()) all.push_back(core.processors[thread]);
  return all;
}

bool in_one_node(const Cores& cores) {
  return std::ranges::all_of(cores, [&](const Core& c) { return c.node == cores.front().node; });
}

Placement not_pinned(const HostRanks& ranks, std::int64_t threads, std::string why) {
  return {.threads = ranks.threads > 0 ? ranks.threads : std::max<std::int64_t>(1, threads),
          .share = ranks.masks[static_cast<std::size_t>(ranks.local_rank)],
          .why = std::move(why) + "; not pinned"};
}

// On cores that no other rank uses.
Placement pinned(const Cores& own, const HostRanks& ranks, std::string why) {
  const auto cores = static_cast<std::int64_t>(own.size());
  Placement placement{.threads = ranks.threads > 0 ? ranks.threads : cores,
                      .share = processors_of(own),
                      .why = std::move(why)};
  std::vector<int> pins = cores_first(own);
  if (placement.threads > std::ssize(pins)) {
    placement.why += fmt::format(", fewer processors than the {} threads asked for; not pinned",
                                 placement.threads);
    return placement;
  }
  pins.resize(static_cast<std::size_t>(placement.threads));
  placement.pins = std::move(pins);
  return placement;
}

}  // namespace

Placement place(const Host& host, const HostRanks& ranks) {
  const std::size_t count = ranks.masks.size();
  const auto own = static_cast<std::size_t>(ranks.local_rank);
  CHECK(own < count, "local rank {} of {}", own, count);
  const std::vector<int>& mask = ranks.masks[own];
  std::size_t alike = 0;  // ranks that may use the same processors
  std::size_t before = 0;
  std::size_t crossing = 0;  // ranks that may use some of them
  for (std::size_t i = 0; i < count; ++i) {
    const bool same = ranks.masks[i] == mask;
    alike += same ? 1 : 0;
    before += same && i < own ? 1 : 0;
    crossing += !same && overlap(ranks.masks[i], mask) ? 1 : 0;
  }
  const Cores cores = within(host, mask);
  if (crossing > 0)
    return not_pinned(
        ranks, static_cast<std::int64_t>(cores.size() / (alike + crossing)),
        fmt::format("{} cores, some of which {} other ranks may use", cores.size(), crossing));
  if (alike > cores.size())
    return not_pinned(ranks, 1, fmt::format("{} ranks on {} cores", alike, cores.size()));
  // A quota is time on any of the cores, and other programs may have pinned theirs to the same.
  const double time = ranks.core_time / static_cast<double>(count);
  const Cores part = part_of(cores, before, alike);
  if (ranks.core_time > 0 && time < static_cast<double>(part.size()))
    return not_pinned(ranks, std::lround(time),
                      fmt::format("the cgroup gives the time of {:.3g} cores", ranks.core_time));
  if (alike == 1)
    return pinned(part, ranks,
                  count == 1 ? fmt::format("all {} cores", cores.size())
                             : fmt::format("{} cores, bound by the launcher", cores.size()));
  const bool apart = !in_one_node(cores) && in_one_node(part);
  return pinned(part, ranks,
                fmt::format("{} of {} cores{}", part.size(), cores.size(),
                            apart ? ", in one NUMA node" : ""));
}

}  // namespace boreal::device
