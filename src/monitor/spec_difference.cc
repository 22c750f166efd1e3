#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>

#include "monitor/ledger.h"

namespace boreal::monitor {

namespace {

using Flat = std::map<std::string, std::string>;

void flatten(const YAML::Node& node, const std::string& path, Flat& out) {
  if (node.IsMap()) {
    for (const auto& entry : node) {
      const std::string key = entry.first.as<std::string>();
      flatten(entry.second, path.empty() ? key : path + "." + key, out);
    }
  } else if (node.IsSequence()) {
    for (std::size_t i = 0; i < node.size(); ++i)
      flatten(node[i], fmt::format("{}.{}", path, i), out);
  } else {
    out[path] = node.IsScalar() ? node.Scalar() : "";
  }
}

std::optional<Flat> read_flat(const std::string& yaml) {
  try {
    Flat flat;
    flatten(YAML::Load(yaml), "", flat);
    return flat;
  } catch (const YAML::Exception&) {
    return std::nullopt;
  }
}

std::string shown(const Flat& flat, const std::string& key) {
  const auto found = flat.find(key);
  if (found == flat.end()) return "absent";
  return found->second.empty() ? "\"\"" : found->second;
}

}  // namespace

std::vector<std::string> differing_keys(const std::string& now_yaml, const std::string& before_yaml,
                                        const std::vector<std::string>& leave_out) {
  const std::optional<Flat> now = read_flat(now_yaml);
  const std::optional<Flat> before = read_flat(before_yaml);
  if (!now || !before) return {fmt::format("(the {} spec is no YAML)", now ? "earlier" : "new")};
  Flat all = *now;
  all.insert(before->begin(), before->end());
  std::vector<std::string> lines;
  for (const auto& [key, value] : all) {
    if (std::ranges::find(leave_out, key.substr(0, key.find('.'))) != leave_out.end()) continue;
    const std::string a = shown(*now, key);
    const std::string b = shown(*before, key);
    if (a != b) lines.push_back(fmt::format("{}: {}, was {}", key, a, b));
  }
  return lines;
}

}  // namespace boreal::monitor
