#include "tests/house/layers.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <sstream>

namespace boreal::house {
namespace {

// "src/nn/linear.h" -> "nn"; nothing for a file that lies elsewhere or directly in src/.
std::optional<std::string> folder_of(const std::string& path) {
  if (!path.starts_with("src/")) return std::nullopt;
  const std::size_t end = path.find('/', 4);
  if (end == std::string::npos) return std::nullopt;
  return path.substr(4, end - 4);
}

bool may_include(const Edges& allowed, const std::string& from, const std::string& to) {
  if (to == from || to == "base") return allowed.contains(to);
  const auto entry = allowed.find(from);
  return entry != allowed.end() && entry->second.contains(to);
}

}  // namespace

Result<Edges> parse_layers(std::string_view text) {
  Edges edges;
  int number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      return refused("layers.txt:{}: no colon in \"{}\"", number, line);
    }
    const std::string folder(line.substr(0, colon));
    if (edges.contains(folder)) return refused("layers.txt:{}: {} twice", number, folder);
    std::set<std::string> uses;
    std::istringstream words{std::string(line.substr(colon + 1))};
    for (std::string use; words >> use;) {
      if (!edges.contains(use)) {
        return refused("layers.txt:{}: {} includes {}, which no line above names", number, folder,
                       use);
      }
      uses.insert(use);
    }
    edges[folder] = std::move(uses);
  }
  return edges;
}

std::vector<std::string> forbidden_edges(const Edges& allowed, const std::vector<Source>& sources) {
  std::vector<std::string> problems;
  for (const Source& source : sources) {
    if (!source.path.starts_with("src/")) continue;
    const auto from = folder_of(source.path);
    if (!from) {
      problems.push_back(source.path + ": lies in no folder of src/");
      continue;
    }
    if (!allowed.contains(*from)) {
      problems.push_back(fmt::format("{}: layers.txt has no folder {}", source.path, *from));
      continue;
    }
    for (const Include& include : includes_of(source)) {
      if (!include.quoted) continue;
      const std::string to = include.name.substr(0, include.name.find('/'));
      if (include.name.find('/') == std::string::npos || !allowed.contains(to)) {
        problems.push_back(fmt::format("{}:{}: \"{}\" does not start with a folder of src/",
                                       source.path, include.line, include.name));
      } else if (!may_include(allowed, *from, to)) {
        problems.push_back(fmt::format("{}:{}: {} may not include {} (layers.txt)", source.path,
                                       include.line, *from, to));
      }
    }
  }
  return problems;
}

Edges edges_of(const std::vector<Source>& sources) {
  Edges edges;
  for (const Source& source : sources) {
    const auto from = folder_of(source.path);
    if (!from) continue;
    for (const Include& include : includes_of(source)) {
      const std::string to = include.name.substr(0, include.name.find('/'));
      if (include.quoted && to != *from) edges[*from].insert(to);
    }
  }
  return edges;
}

std::vector<std::string> find_cycle(const Edges& edges) {
  std::vector<std::string> path;
  std::set<std::string> finished;
  // Depth first; true once `path` starts and ends with the same folder.
  const std::function<bool(const std::string&)> visit = [&](const std::string& folder) {
    if (finished.contains(folder)) return false;
    const auto seen = std::ranges::find(path, folder);
    const bool closes = seen != path.end();
    if (closes) path.erase(path.begin(), seen);
    path.push_back(folder);
    if (closes) return true;
    if (const auto entry = edges.find(folder); entry != edges.end()) {
      for (const std::string& next : entry->second) {
        if (visit(next)) return true;
      }
    }
    path.pop_back();
    finished.insert(folder);
    return false;
  };
  for (const auto& [folder, uses] : edges) {
    if (visit(folder)) return path;
  }
  return {};
}

}  // namespace boreal::house
