// The optimizer's moments in a file instead of in memory, for models that do not fit: each rank
// maps a nameless file of its own (base/env.h) in the folder that train.optimizer_state names. The
// system keeps of it what it has memory for. The bits are those of moments in memory; nothing is
// left behind however the run ends, and a resume fills a new file from the checkpoint. Thread rule:
// the thread of the rank.
#pragma once

#include <memory>

#include "base/env.h"
#include "dist/mesh.h"
#include "model/decoder.h"
#include "plan/memory_plan.h"
#include "spec/run_spec.h"

namespace boreal::train {

// Leaves `moments` as it is where the shape has them in memory. Errors of kind failed: no such
// folder can be made, its disk is too small.
Status map_moments(Env& env, const spec::RunSpec& spec, const model::DecoderConfig& config,
                   const plan::StepShape& shape, const dist::DeviceMesh& mesh,
                   std::unique_ptr<FileMemory>& moments);

}  // namespace boreal::train
