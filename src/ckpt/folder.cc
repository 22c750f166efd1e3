#include "ckpt/folder.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

#include "ckpt/checkpoint.h"

namespace boreal::ckpt {

namespace {

constexpr std::string_view kCommitted = "step-";
constexpr std::string_view kReplaced = ".old-step-";
constexpr std::string_view kTrash = ".trash-";

// N of "<prefix>N", written as save() writes it: decimal, no leading zeros.
std::optional<std::int64_t> step_of(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::int64_t step = 0;
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (code != std::errc() || step < 0 || fmt::format("{}", step) != name) return std::nullopt;
  return step;
}

Found examine(Env& env, std::int64_t step, const std::string& dir) {
  Found found{.step = step, .dir = dir, .damage = {}, .loss = {}};
  const Result<Checkpoint> checkpoint = Checkpoint::open(env, dir);
  if (!checkpoint.ok()) {
    found.damage = checkpoint.error().message;
  } else if (checkpoint->step() != step) {
    found.damage = fmt::format("{}: its manifest says step {}; was the folder renamed?", dir,
                               checkpoint->step());
  } else {
    found.loss = checkpoint->loss();
  }
  return found;
}

}  // namespace

std::string committed_dir(const std::string& root, std::int64_t step) {
  return join_path(root, fmt::format("{}{}", kCommitted, step));
}
std::string stage_dir(const std::string& root, std::int64_t step) {
  return join_path(root, fmt::format(".step-{}.tmp", step));
}
std::string replaced_dir(const std::string& root, std::int64_t step) {
  return join_path(root, fmt::format("{}{}", kReplaced, step));
}

Result<std::vector<Found>> list(Env& env, const std::string& root) {
  std::vector<Found> out;
  if (!env.exists(root)) return out;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(root));
  std::map<std::int64_t, std::string, std::greater<>> dirs;  // newest first
  for (const std::string& name : names) {
    if (const auto step = step_of(name, kReplaced)) dirs.emplace(*step, join_path(root, name));
    if (const auto step = step_of(name, kCommitted)) dirs[*step] = join_path(root, name);
  }
  for (const auto& [step, dir] : dirs) out.push_back(examine(env, step, dir));
  return out;
}

Result<Newest> newest_whole(Env& env, const std::string& root) {
  ASSIGN_OR_RETURN(const std::vector<Found> all, list(env, root));
  Newest newest;
  for (const Found& found : all) {
    std::string damage = found.damage;
    if (damage.empty()) {
      Result<Checkpoint> checkpoint = Checkpoint::open(env, found.dir);
      const Status status = checkpoint.ok() ? checkpoint->verify() : Status(checkpoint.error());
      if (status.ok()) {
        newest.dir = found.dir;
        newest.step = found.step;
        return newest;
      }
      damage = status.error().message;
    }
    newest.warnings.push_back(fmt::format(
        "the checkpoint of step {} is damaged and passed over: {}", found.step, damage));
  }
  if (!all.empty())
    return refused("{}: all {} checkpoints are damaged; the newest: {}", root, all.size(),
                   newest.warnings.front());
  return newest;
}

Result<std::vector<std::string>> remove_newer(Env& env, const std::string& root,
                                              std::int64_t step) {
  ASSIGN_OR_RETURN(const std::vector<Found> all, list(env, root));
  std::vector<std::string> removed;
  for (const Found& found : all) {
    if (found.step <= step) break;
    RETURN_IF_ERROR(discard(env, root, found.dir));
    removed.push_back(found.dir);
  }
  return removed;
}

Status discard(Env& env, const std::string& root, const std::string& dir) {
  std::string name = file_name(dir);
  if (name.starts_with('.')) name.erase(0, 1);
  const std::string trash = join_path(root, std::string(kTrash) + name);
  RETURN_IF_ERROR(env.remove_all(trash));
  RETURN_IF_ERROR(env.rename(dir, trash));
  RETURN_IF_ERROR(env.sync_dir(root));
  return env.remove_all(trash);
}

Status clean_leftovers(Env& env, const std::string& root) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(root));
  for (const std::string& name : names) {
    const std::string path = join_path(root, name);
    if (const auto step = step_of(name, kReplaced)) {
      if (env.exists(committed_dir(root, *step))) {
        RETURN_IF_ERROR(discard(env, root, path));
      } else {
        RETURN_IF_ERROR(env.rename(path, committed_dir(root, *step)));
        RETURN_IF_ERROR(env.sync_dir(root));
      }
    } else if (name.starts_with(kTrash) || (name.starts_with(".step-") && name.ends_with(".tmp"))) {
      RETURN_IF_ERROR(env.remove_all(path));
    }
  }
  return Done{};
}

}  // namespace boreal::ckpt
