// Fitting: the memory of a run as its spec has it, whether this machine has it, and what would make
// it fit; each change is really planned. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/machine.h"
#include "dist/mesh.h"
#include "model/decoder.h"
#include "plan/memory_plan.h"
#include "spec/run_spec.h"

namespace boreal::train {

// A run, seen from one of its ranks; the mesh may be imagined.
struct Demand {
  const spec::RunSpec& spec;
  const model::DecoderConfig& config;
  const dist::DeviceMesh& mesh;
  std::int64_t threads = 1;     // of a rank
  std::int64_t ranks_here = 1;  // that share this machine
};

plan::MemoryPlan plan_of(const Demand& demand);

// A change of the spec, and what this machine would have to give then.
struct Change {
  std::string text;  // "train.recompute: full"
  std::int64_t bytes = 0;
};

// What needs less than the demand, in the order of what it costs: first what costs time, then other
// dtypes, then all of these together, then more machines (as many as make it fit in `bytes`, or the
// most that there is work for).
std::vector<Change> smaller(const Demand& demand, std::int64_t bytes);

// refused: the run needs more than the machine has to give; with the plan and what would fit.
Status check_fits(const Demand& demand, const device::Machine& machine);

}  // namespace boreal::train
