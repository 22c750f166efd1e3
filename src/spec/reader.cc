#include "spec/reader.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "spec/characters.h"
#include "spec/fields.h"
#include "spec/node.h"
#include "spec/validate.h"

namespace boreal::spec {

namespace {

constexpr std::size_t kBasesMax = 16;

// Where each key got its value, so that validate's complaints can say it. Later layers override
// earlier ones: the bases, the file, each --set.
class Origins {
 public:
  void next_layer() { ++layer_; }
  // What was known of the elements of a list that is replaced as a whole goes.
  void replace(const std::string& path, const std::string& where) {
    const std::string inside = path + ".";
    auto at = origins_.lower_bound(inside);
    while (at != origins_.end() && at->first.starts_with(inside)) at = origins_.erase(at);
    origins_[path] = {where, layer_};
  }
  // Of the keys that disagree the one that was set last; "" if none was set.
  std::string blame(const std::vector<std::string>& keys) const {
    const Origin* last = nullptr;
    for (const std::string& key : keys) {
      const Origin* origin = find(key);
      if (origin != nullptr && (last == nullptr || origin->layer > last->layer)) last = origin;
    }
    return last == nullptr ? "" : last->where;
  }

 private:
  struct Origin {
    std::string where;
    int layer = 0;
  };
  // Of the key, or of the nearest list around it.
  const Origin* find(std::string path) const {
    while (true) {
      if (const auto found = origins_.find(path); found != origins_.end()) return &found->second;
      const std::size_t dot = path.rfind('.');
      if (dot == std::string::npos) return nullptr;
      path.resize(dot);
    }
  }

  std::map<std::string, Origin> origins_;
  int layer_ = 0;
};

template <class T>
Status read_value(const Node& node, const std::string& path, T& member, Origins& origins);

class SectionReader {
 public:
  SectionReader(const Node& map, std::string prefix, Origins& origins)
      : map_(map), prefix_(std::move(prefix)), origins_(origins) {}

  template <class T>
  void operator()(const char* key, T& member, const char* /*help*/) {
    const auto node = map_.find(key);
    if (node && status.ok()) status = read_value(*node, prefix_ + key, member, origins_);
  }

  Status status = Done{};

 private:
  const Node& map_;
  std::string prefix_;
  Origins& origins_;
};

// `prefix` is "" or ends with a dot; `also` is a key that no member stands for.
template <class T>
Status read_section(const Node& node, const std::string& prefix, T& section, Origins& origins,
                    std::string_view also = {}) {
  const std::vector<std::string> known = keys_of(section);
  for (const std::string& key : node.keys()) {
    if (key == also || std::find(known.begin(), known.end(), key) != known.end()) continue;
    return wrong_usage("{}: unknown key {}; {}", node.where_key(key), in_quotes(prefix + key),
                       key_hint(key, known, prefix));
  }
  SectionReader reader(node, prefix, origins);
  section.visit(reader);
  return reader.status;
}

template <class T>
Status read_list(const Node& node, const std::string& path, std::vector<T>& list,
                 Origins& origins) {
  if (!node.is_list())
    return node.wrong(
        fmt::format("{} is {}, but a list is expected ([] for an empty one)", path, node.shown()));
  std::vector<T> items(node.size());
  origins.replace(path, node.where());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string element = fmt::format("{}.{}", path, i);
    origins.replace(element, node.at(i).where());
    RETURN_IF_ERROR(read_value(node.at(i), element, items[i], origins));
  }
  list = std::move(items);
  return Done{};
}

template <class T>
Status read_value(const Node& node, const std::string& path, T& member, Origins& origins) {
  if constexpr (Section<T>) {
    if (!node.is_map()) {
      return node.wrong(fmt::format("{} is {}, but keys are expected: {}", path, node.shown(),
                                    fmt::join(keys_of(member), ", ")));
    }
    return read_section(node, path + ".", member, origins);
  } else if constexpr (kIsVector<T>) {
    return read_list(node, path, member, origins);
  } else {
    origins.replace(path, node.where());
    if constexpr (std::is_same_v<T, std::string>) {
      ASSIGN_OR_RETURN(member, node.as_string(path));
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      ASSIGN_OR_RETURN(member, node.as_int(path));
    } else if constexpr (std::is_same_v<T, double>) {
      ASSIGN_OR_RETURN(member, node.as_double(path));
    } else {
      static_assert(std::is_same_v<T, bool>);
      ASSIGN_OR_RETURN(member, node.as_bool(path));
    }
    return Done{};
  }
}

// One "a.b.0.c=value" of a command line on its way down to its member.
class Setting {
 public:
  static Result<Setting> parse(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return wrong_usage("--set {}: a key, = and a value are expected, as in --set train.steps=100",
                         text);
    Setting setting("--set " + text, text.substr(0, equals), text.substr(equals + 1));
    if (!is_utf8(text))
      return wrong_usage("--set {}: the value is no valid UTF-8", in_quotes(text));
    if (setting.key_ == "base")
      return setting.wrong(
          "base is read from a file only; name the other spec on the command line");
    return setting;
  }

  Status apply(RunSpec& spec, Origins& origins) const { return descend(spec, 0, "", origins); }

 private:
  Setting(std::string name, std::string key, std::string value)
      : name_(std::move(name)), key_(std::move(key)), value_(std::move(value)) {
    for (std::size_t from = 0; from <= key_.size();) {
      const std::size_t dot = std::min(key_.find('.', from), key_.size());
      parts_.push_back(key_.substr(from, dot - from));
      from = dot + 1;
    }
  }

  Error wrong(const std::string& message) const { return wrong_usage("{}: {}", name_, message); }

  // `path` is the key up to part `depth`, which member stands for.
  template <class T>
  Status descend(T& member, std::size_t depth, const std::string& path, Origins& origins) const {
    if (depth == parts_.size()) return assign(member, path, origins);
    const std::string prefix = path.empty() ? "" : path + ".";
    if constexpr (Section<T>) {
      return into_section(member, depth, prefix, origins);
    } else if constexpr (kIsVector<T>) {
      return into_list(member, depth, path, origins);
    } else {
      return wrong(
          fmt::format("{} takes one value ({}) and has no keys under it", path, type_name<T>()));
    }
  }

  template <class T>
  Status into_section(T& section, std::size_t depth, const std::string& prefix,
                      Origins& origins) const {
    std::optional<Status> status;
    auto finder = [&](const char* key, auto& member, const char* /*help*/) {
      if (parts_[depth] == key) status = descend(member, depth + 1, prefix + key, origins);
    };
    section.visit(finder);
    if (status) return *std::move(status);
    return wrong(fmt::format("unknown key {}; {}", in_quotes(prefix + parts_[depth]),
                             key_hint(parts_[depth], keys_of(section), prefix)));
  }

  template <class T>
  Status into_list(std::vector<T>& list, std::size_t depth, const std::string& path,
                   Origins& origins) const {
    const auto index = Node::scalar(parts_[depth], name_).as_int(path);
    const auto size = static_cast<std::int64_t>(list.size());
    if (!index.ok())
      return wrong(fmt::format("{} is a list, so a number is expected after it, not {}", path,
                               in_quotes(parts_[depth])));
    if (*index < 0 || *index >= size) {
      const std::string has =
          size == 0 ? "is empty" : fmt::format("has elements 0 to {}", size - 1);
      return wrong(fmt::format("{} {}, so there is no element {}", path, has, *index));
    }
    T& element = list[static_cast<std::size_t>(*index)];
    const std::string inner = fmt::format("{}.{}", path, *index);
    if (depth + 1 == parts_.size()) {
      element = T();  // a list element is replaced, not merged
      origins.replace(inner, name_);
    }
    return descend(element, depth + 1, inner, origins);
  }

  // A single value is taken as it stands; lists and sections are written as YAML.
  template <class T>
  Status assign(T& member, const std::string& path, Origins& origins) const {
    if constexpr (Section<T> || kIsVector<T>) {
      if (value_.empty())
        return wrong(fmt::format("{} needs a value; write [] for an empty list", path));
      ASSIGN_OR_RETURN(const Node node, Node::parse(value_, name_));
      return read_value(node, path, member, origins);
    } else {
      return read_value(Node::scalar(value_, name_), path, member, origins);
    }
  }

  std::string name_;  // as typed, for messages
  std::string key_;
  std::string value_;
  std::vector<std::string> parts_;
};

std::string normal_path(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

// The file, then its base, then the base of that.
Result<std::vector<Node>> read_chain(Env& env, const std::string& path) {
  std::vector<Node> chain;
  std::vector<std::string> paths = {normal_path(path)};
  ASSIGN_OR_RETURN(Node node, Node::parse_file(env, path));
  while (true) {
    if (!node.is_map())
      return node.wrong(fmt::format("keys are expected here (name: ...), found {}", node.shown()));
    chain.push_back(node);
    const auto base = node.find("base");
    if (!base) return chain;
    ASSIGN_OR_RETURN(const std::string name, base->as_string("base"));
    if (name.empty()) return base->wrong("base is empty; name another spec or remove the key");
    const std::string next = normal_path(join_path(parent_path(paths.back()), name));
    const bool seen = std::find(paths.begin(), paths.end(), next) != paths.end();
    paths.push_back(next);
    if (seen)
      return base->wrong(fmt::format("base goes in a circle: {}", fmt::join(paths, " -> ")));
    if (paths.size() > kBasesMax)
      return base->wrong(fmt::format("base is followed through more than {} files: {}", kBasesMax,
                                     fmt::join(paths, " -> ")));
    auto parsed = Node::parse_file(env, next);
    if (!parsed.ok()) return std::move(parsed).error().within(base->where() + ": base");
    node = *std::move(parsed);
  }
}

// "data/life/amino_acids.csv.gz" -> "amino_acids"
std::string stem(const std::string& path) {
  std::string name = file_name(path);
  for (const char* packed : {".gz", ".zst"})
    if (name.ends_with(packed)) name.resize(name.size() - std::string_view(packed).size());
  const std::size_t dot = name.rfind('.');
  if (dot != std::string::npos && dot > 0) name.resize(dot);
  return name;
}

// A source's name is that of a folder too: "my alloys" -> "my_alloys".
std::string folder_name(std::string name) {
  for (char& c : name) {
    const bool other = static_cast<unsigned char>(c) >= 0x80;
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && !other && c != '.' && c != '-') c = '_';
  }
  return name;
}

void fill_names(RunSpec& spec, const std::string& path) {
  if (spec.name.empty()) spec.name = stem(path);
  for (SourceSpec& source : spec.data.sources) {
    if (!source.name.empty()) continue;
    const std::string& file = !source.table.empty()  ? source.table
                              : !source.text.empty() ? source.text
                                                     : source.jsonl;
    if (source.synthetic) {
      source.name = "synthetic";
    } else {
      source.name = folder_name(file.empty() ? file_name(source.shards) : stem(file));
    }
  }
}

}  // namespace

Result<RunSpec> read_run_spec(Env& env, const std::string& path,
                              const std::vector<std::string>& sets) {
  ASSIGN_OR_RETURN(const std::vector<Node> chain, read_chain(env, path));
  RunSpec spec;
  Origins origins;
  for (auto node = chain.rbegin(); node != chain.rend(); ++node) {
    origins.next_layer();
    RETURN_IF_ERROR(read_section(*node, "", spec, origins, "base"));
  }
  for (const std::string& set : sets) {
    origins.next_layer();
    ASSIGN_OR_RETURN(const Setting setting, Setting::parse(set));
    RETURN_IF_ERROR(setting.apply(spec, origins));
  }
  fill_names(spec, path);
  if (const auto complaint = first_complaint(spec)) {
    const std::string where = origins.blame(complaint->keys);
    return wrong_usage("{}: {}", where.empty() ? path : where, complaint->message);
  }
  return spec;
}

}  // namespace boreal::spec
