// The fields of RunSpec as a flat list, and what a visitor needs to tell the kinds of members
// apart. Internal to spec/.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "spec/run_spec.h"

namespace boreal::spec {

struct NoVisitor {
  template <class T>
  void operator()(const char* /*key*/, T& /*member*/, const char* /*help*/) const {}
};

// A member with keys of its own.
template <class T>
concept Section = requires(T& member, NoVisitor& visitor) {
  member.visit(visitor);
};

template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;

// What a key takes, in the words of describe_keys and of messages.
template <class T>
constexpr const char* type_name() {
  if constexpr (std::is_same_v<T, std::string>) return "text";
  if constexpr (std::is_same_v<T, std::int64_t>) return "int";
  if constexpr (std::is_same_v<T, double>) return "number";
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "texts";
  if constexpr (std::is_same_v<T, std::vector<double>>) return "numbers";
  if constexpr (Section<T>) return "section";
  return "list";
}

struct Field {
  std::string path;  // "data.sources.N.weight": N stands for any index
  std::string type;
  std::string standard;  // the default, as YAML
  std::string help;
};

// Every key that takes a value (no sections), in the order of visit, with its default.
std::vector<Field> all_fields();

// The keys of one section, in order.
template <class T>
std::vector<std::string> keys_of(T section) {
  std::vector<std::string> keys;
  auto lister = [&](const char* key, auto& /*member*/, const char* /*help*/) {
    keys.emplace_back(key);
  };
  section.visit(lister);
  return keys;
}

// "did you mean train.steps?": the nearest of the keys beside it, else a key of that name
// elsewhere, else the list of keys. `prefix` is "" or ends with a dot.
std::string key_hint(const std::string& key, const std::vector<std::string>& beside,
                     const std::string& prefix);

}  // namespace boreal::spec
