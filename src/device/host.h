// Host: the processors of this machine in the order of its topology, so that neighbours share
// caches and a NUMA node. A processor is what the system schedules threads on and numbers; a core
// has one or, with hyperthreads, several. Thread rule: values and pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace boreal::device {

struct Core {
  std::vector<int> processors;
  int node = 0;  // NUMA
};

struct Host {
  std::vector<Core> cores;
};

// All of this machine, whatever this process may use of it. Where the system does not tell, each
// processor that this thread may use is a core.
Host read_host();
// "numa:2 core:4 pu:2": a machine that is not there, in hwloc's words.
Result<Host> imagined_host(const std::string& synthetic);

// The processors that this thread may use, rising.
std::vector<int> own_mask();
// Lets this thread, and those that it starts from now on, use these only; false: the system
// refused.
bool set_own_mask(std::span<const int> processors);

// "0-3,8", of rising numbers; and back. refused: no such text.
std::string mask_text(std::span<const int> processors);
Result<std::vector<int>> parse_mask(const std::string& text);

}  // namespace boreal::device
