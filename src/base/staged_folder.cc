#include "base/staged_folder.h"

#include <unistd.h>

#include <utility>

namespace boreal {

Result<StagedFolder> StagedFolder::create(Env& env, std::string target) {
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  if (target.empty()) return wrong_usage("the folder to write has no name");
  if (env.exists(target))
    return wrong_usage("{} exists already; name a folder that does not", target);
  const std::string parent = parent_path(target);
  std::string stage;
  for (int n = 0; stage.empty() || env.exists(stage); ++n)
    stage = join_path(parent, fmt::format(".{}.{}-{}.tmp", file_name(target), getpid(), n));
  StagedFolder folder(env, std::move(target), stage);
  RETURN_IF_ERROR(env.make_dirs(stage));
  return folder;
}

StagedFolder::StagedFolder(StagedFolder&& other) noexcept
    : env_(other.env_),
      target_(std::move(other.target_)),
      stage_(std::exchange(other.stage_, {})) {}

StagedFolder::~StagedFolder() {
  // What cannot be removed stays under its hidden name; the error that led here is the one to tell.
  if (!stage_.empty()) static_cast<void>(env_->remove_all(stage_));
}

Status StagedFolder::commit(const std::string& inside) {
  RETURN_IF_ERROR(env_->rename(inside.empty() ? stage_ : join_path(stage_, inside), target_));
  if (inside.empty())
    stage_.clear();
  else
    RETURN_IF_ERROR(env_->remove_all(std::exchange(stage_, {})));
  return env_->sync_dir(parent_path(target_));
}

}  // namespace boreal
