// StagedFolder: a folder that appears whole or not at all. It is filled under a hidden name beside
// the target, and one rename commits it; without commit() it is removed again. Never touches
// anything that it did not make. Thread rule: one thread.
#pragma once

#include <string>

#include "base/env.h"
#include "base/result.h"

namespace boreal {

class StagedFolder {
 public:
  // wrong_usage for an empty name or one that exists already. Slashes at its end do not count.
  static Result<StagedFolder> create(Env& env, std::string target);
  StagedFolder(StagedFolder&& other) noexcept;
  StagedFolder& operator=(StagedFolder&&) = delete;
  ~StagedFolder();

  // Where to write meanwhile.
  const std::string& path() const { return stage_; }
  // Commits path(), or with `inside` that folder in it and nothing else. Synced.
  Status commit(const std::string& inside = {});

 private:
  StagedFolder(Env& env, std::string target, std::string stage)
      : env_(&env), target_(std::move(target)), stage_(std::move(stage)) {}

  Env* env_;
  std::string target_;
  std::string stage_;  // "" once it is committed or moved from
};

}  // namespace boreal
