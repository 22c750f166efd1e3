// Training runs for tests of memory: the trainer as the program drives it, on one rank or many.
#pragma once

#include <string>

#include "base/env.h"
#include "spec/run_spec.h"
#include "train/trainer.h"

namespace boreal::train {

// A tiny run on synthetic ids.
spec::RunSpec tiny_run(const std::string& family);

// Trains in `out`, made anew. The world is that of spec.mesh, in threads; a rank has a pool of
// `threads`. The summary is rank 0's.
Result<TrainSummary> train_run(Env& env, const spec::RunSpec& spec, const std::string& out,
                               std::int64_t threads, const std::string& resume = "never");

// A folder of the running test's own.
std::string test_folder();

}  // namespace boreal::train
