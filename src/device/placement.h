// Placement: which processors a rank's threads sit on, so that the ranks of a host do not share any
// while there are enough. A launcher that bound each rank is followed; where several ranks may use
// the same processors, the cores are cut between them in the order of the topology: a core's
// hyperthreads stay with one rank, and a rank stays in one NUMA node where that costs no core.
// Thread rule: values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/host.h"

namespace boreal::device {

// The ranks on a host, seen from one of them.
struct HostRanks {
  std::vector<std::vector<int>> masks;  // what each may use, rising, in the order of local ranks
  std::int64_t local_rank = 0;
  std::int64_t threads = 0;  // of this rank; 0: one a core
  double core_time = 0;      // of all of them together (Machine::core_time)
};

struct Placement {
  std::int64_t threads = 1;
  std::vector<int> pins;   // the processor of each thread; empty: the system moves them about
  std::vector<int> share;  // the processors that this rank's threads may use, rising
  std::string why;         // "4 of 16 cores, in one NUMA node"
};

Placement place(const Host& host, const HostRanks& ranks);

}  // namespace boreal::device
