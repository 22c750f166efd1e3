#include "app/eval_tasks.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>

namespace boreal::app {

namespace {

std::string without_blanks(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

Result<std::string> path_of(Env& env, const std::string& name, const std::string& out) {
  if (name.ends_with(".jsonl")) return name;
  if (!out.empty()) return join_path(out, "eval/" + name + ".jsonl");
  if (env.exists(name) && !env.is_dir(name)) return name;
  return wrong_usage(
      "--tasks: \"{}\" is the name of a task of a run; give its SPEC too, or the path of an item "
      "file (OUT/eval/{}.jsonl)",
      name, name);
}

}  // namespace

Result<std::vector<eval::Item>> read_tasks(Env& env, const std::vector<std::string>& names,
                                           const std::string& out, std::int64_t max_items) {
  std::vector<eval::Item> items;
  std::map<std::string, std::string> name_of;  // by path, as far as its text tells
  for (const std::string& given : names) {
    const std::string name = without_blanks(given);
    if (name.empty()) return wrong_usage("--tasks: an empty name; is there a comma too many?");
    const bool scored = name != "perplexity" || out.empty();
    std::string path = name;
    if (scored) {
      ASSIGN_OR_RETURN(path, path_of(env, name, out));
    }
    const std::string plain = std::filesystem::path(path).lexically_normal().string();
    const auto [before, is_new] = name_of.emplace(plain, name);
    if (!is_new)
      return wrong_usage("--tasks: {} and {} are the same task; its items would count twice",
                         before->second, name);
    if (!scored) continue;
    ASSIGN_OR_RETURN(auto read, eval::read_items(env, path, max_items));
    std::ranges::move(read, std::back_inserter(items));
  }
  return items;
}

}  // namespace boreal::app
