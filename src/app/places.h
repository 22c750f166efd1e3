// Paths that a command line names: which model a folder stands for, and whether a file can be
// written. Thread rule: the main thread.
#pragma once

#include <string>

#include "base/env.h"
#include "base/result.h"

namespace boreal::app {

// A checkpoint or a Hugging Face folder as it is; of a run's output folder (or its checkpoints/)
// the newest whole checkpoint, which a line on stderr names unless quiet.
Result<std::string> find_model(Env& env, const std::string& folder, bool quiet);

// Usage if `path` is a folder: before the work whose result cannot be written there.
Status check_file_to_write(Env& env, const std::string& option, const std::string& path);

}  // namespace boreal::app
