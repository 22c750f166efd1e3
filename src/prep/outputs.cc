#include "prep/outputs.h"

namespace boreal::prep {

namespace {

constexpr const char* kStampPath = "prep/stamp";

// The text of a small file of ours, "" if it is not there.
std::string text_of(Env& env, const std::string& path) {
  if (!env.exists(path)) return "";
  const auto text = env.read_file(path);
  return text.ok() ? *text : "";
}

}  // namespace

Result<Outputs> Outputs::open(Env& env, const std::string& out_dir, const std::string& stamp) {
  RETURN_IF_ERROR(env.make_dirs(join_path(out_dir, "prep")));
  auto lock = env.lock(join_path(out_dir, "prep/lock"));
  if (!lock.ok()) return std::move(lock).error().within("another prep works in " + out_dir);
  Outputs outputs(env, out_dir, std::move(lock).value());
  const std::string begun = text_of(env, outputs.path(kStampPath));
  if (begun == stamp) return outputs;
  if (!begun.empty()) {
    // prep.json first: without it the folder counts as unfinished, whatever happens from here on.
    for (const char* ours : {"prep.json", "shards", "eval", "tokenizer", "tables", "facts.csv"}) {
      RETURN_IF_ERROR(env.remove_all(outputs.path(ours)));
    }
  }
  RETURN_IF_ERROR(env.write_file(outputs.path(kStampPath), stamp));
  return outputs;
}

}  // namespace boreal::prep
