#include "device/host.h"

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace boreal::device {

namespace {

constexpr int kProcessorsMax = 1 << 16;

// A mask of the system's calls, as large as asked for: cpu_set_t ends at 1,024.
class ProcessorSet {
 public:
  explicit ProcessorSet(int processors)
      : set_(CPU_ALLOC(processors)), bytes_(CPU_ALLOC_SIZE(processors)) {
    CPU_ZERO_S(bytes_, set_.get());
  }
  cpu_set_t* get() const { return set_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  std::unique_ptr<cpu_set_t, Free> set_;
  std::size_t bytes_;
};

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

// Empty where hwloc finds nothing.
Host cores_of(hwloc_topology_t topology) {
  Host host;
  const bool has_cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0;
  const hwloc_obj_type_t type = has_cores ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  for (hwloc_obj_t at = nullptr;
       (at = hwloc_get_next_obj_by_type(topology, type, at)) != nullptr;) {
    Core core{.node = std::max(0, hwloc_bitmap_first(at->nodeset))};
    for (int cpu = hwloc_bitmap_first(at->cpuset); cpu >= 0;
         cpu = hwloc_bitmap_next(at->cpuset, cpu))
      core.processors.push_back(cpu);
    if (!core.processors.empty()) host.cores.push_back(std::move(core));
  }
  return host;
}

Topology new_topology() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) topology = nullptr;
  return {topology, hwloc_topology_destroy};
}

}  // namespace

Host read_host() {
  Host host;
  if (const Topology topology = new_topology();
      topology != nullptr && hwloc_topology_load(topology.get()) == 0)
    host = cores_of(topology.get());
  if (!host.cores.empty()) return host;
  for (const int cpu : own_mask()) host.cores.push_back({.processors = {cpu}});
  return host;
}

Result<Host> imagined_host(const std::string& synthetic) {
  const Topology topology = new_topology();
  if (topology == nullptr || hwloc_topology_set_synthetic(topology.get(), synthetic.c_str()) != 0 ||
      hwloc_topology_load(topology.get()) != 0)
    return wrong_usage("\"{}\" is no machine in hwloc's words, as in numa:2 core:4 pu:2",
                       synthetic);
  return cores_of(topology.get());
}

std::vector<int> own_mask() {
  std::vector<int> processors;
  for (int size = 1024; size <= kProcessorsMax; size *= 4) {
    const ProcessorSet set(size);
    if (sched_getaffinity(0, set.bytes(), set.get()) != 0) continue;
    for (int cpu = 0; cpu < size; ++cpu)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), set.bytes(), set.get()))
        processors.push_back(cpu);
    break;
  }
  return processors;
}

bool set_own_mask(std::span<const int> processors) {
  if (processors.empty()) return false;
  const ProcessorSet set(std::ranges::max(processors) + 1);
  for (const int cpu : processors) CPU_SET_S(static_cast<std::size_t>(cpu), set.bytes(), set.get());
  return sched_setaffinity(0, set.bytes(), set.get()) == 0;
}

std::string mask_text(std::span<const int> processors) {
  std::string text;
  for (std::size_t i = 0; i < processors.size();) {
    std::size_t last = i;
    while (last + 1 < processors.size() && processors[last + 1] == processors[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", processors[i]);
    if (last > i) text += fmt::format("-{}", processors[last]);
    i = last + 1;
  }
  return text;
}

Result<std::vector<int>> parse_mask(const std::string& text) {
  std::vector<int> processors;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](int& value) {
    const auto [next, code] = std::from_chars(at, end, value);
    at = next;
    return code == std::errc() && value >= 0 && value < kProcessorsMax;
  };
  while (at < end) {
    int first = 0;
    bool sound = (processors.empty() || *at++ == ',') && number(first);
    int last = first;
    if (sound && at < end && *at == '-') {
      ++at;
      sound = number(last);
    }
    if (!sound || last < first || (!processors.empty() && first <= processors.back()))
      return refused("\"{}\" is no list of processors, as in 0-3,8", text);
    for (int cpu = first; cpu <= last; ++cpu) processors.push_back(cpu);
  }
  return processors;
}

}  // namespace boreal::device
