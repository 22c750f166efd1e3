// The output folder of a prep: who holds it, and whose files stand in it. Every file of a stage
// appears whole (rename) or not at all, and a folder holds the files of one stamp only, so what a
// killed run left is right as far as it goes. Thread rule: one owner.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "base/result.h"

namespace boreal::prep {

class Outputs {
 public:
  // Locks the folder and removes what a prep of another stamp left there (only what prep writes).
  // kind failed if another process holds it.
  static Result<Outputs> open(Env& env, const std::string& out_dir, const std::string& stamp);

  std::string path(const std::string& relative) const { return join_path(out_dir_, relative); }

 private:
  Outputs(Env& env, std::string out_dir, std::unique_ptr<FileLock> lock)
      : env_(&env), out_dir_(std::move(out_dir)), lock_(std::move(lock)) {}

  Env* env_;
  std::string out_dir_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace boreal::prep
