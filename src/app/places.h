// Paths that a command line names: which model a folder stands for, and whether a file can be
// written. Thread rule: the thread of the rank.
#pragma once

#include <functional>
#include <string>

#include "base/env.h"
#include "base/result.h"
#include "dist/world.h"

namespace boreal::app {

// A checkpoint or a Hugging Face folder as it is; of a run's output folder (or its checkpoints/)
// the newest whole checkpoint, which a line on stderr names unless quiet.
Result<std::string> find_model(Env& env, const std::string& folder, bool quiet);

// The same in a world: rank 0 looks and speaks, and all take what it found. A damaged checkpoint is
// read and told of once, and files that show up late on a host mislead nobody.
Result<std::string> find_model(Env& env, const dist::World& world, const std::string& folder,
                               bool quiet);
// What rank 0 finds, or its error, on every rank. `find` runs in rank 0 only.
Result<std::string> found_by_main(const dist::World& world,
                                  const std::function<Result<std::string>()>& find);

// Usage if `path` is a folder: before the work whose result cannot be written there.
Status check_file_to_write(Env& env, const std::string& option, const std::string& path);

}  // namespace boreal::app
