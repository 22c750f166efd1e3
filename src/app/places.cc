#include "app/places.h"

#include <cstdio>

#include "ckpt/folder.h"

namespace boreal::app {

Result<std::string> find_model(Env& env, const std::string& folder, bool quiet) {
  for (const char* of_a_model : {"manifest.json", "config.json"})
    if (env.exists(join_path(folder, of_a_model))) return folder;
  for (const std::string& root : {join_path(folder, "checkpoints"), folder}) {
    if (!env.is_dir(root)) continue;
    ASSIGN_OR_RETURN(const ckpt::Newest newest, ckpt::newest_whole(env, root));
    for (const std::string& warning : newest.warnings)
      std::fprintf(stderr, "warning: %s\n", warning.c_str());
    if (newest.dir.empty()) continue;
    if (!quiet) std::fprintf(stderr, "the model is %s\n", newest.dir.c_str());
    return newest.dir;
  }
  return folder;
}

Result<std::string> find_model(Env& env, const dist::World& world, const std::string& folder,
                               bool quiet) {
  return found_by_main(world, [&] { return find_model(env, folder, quiet); });
}

Result<std::string> found_by_main(const dist::World& world,
                                  const std::function<Result<std::string>()>& find) {
  const Result<std::string> found = world.is_main() ? find() : Result<std::string>("");
  RETURN_IF_ERROR(world.all().agree(found.ok() ? Status(Done{}) : found.error()));
  return world.all().gather_texts(*found).front();
}

Status check_file_to_write(Env& env, const std::string& option, const std::string& path) {
  if (env.is_dir(path))
    return wrong_usage("{}: {} is a folder; name the file to write", option, path);
  return Done{};
}

}  // namespace boreal::app
