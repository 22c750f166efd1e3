// Node: strict YAML. Every value knows its file and line; a key that nobody asked for, or that stands twice, is an error
// with a suggestion; "yes" is a string and no bool; 012 is no number. Thread rule: values, one thread at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::spec {

class Node {
 public:
  // Errors are of kind usage and start with "file:line: ".
  static Result<Node> parse_file(Env& env, const std::string& path);
  static Result<Node> parse(const std::string& text, const std::string& name);

  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;
  bool is_null() const;

  // "recipes/quickstart.yaml:12"
  std::string where() const;

  // Map: keys in file order; find gives nothing for an absent key.
  std::vector<std::string> keys() const;
  std::optional<Node> find(std::string_view key) const;
  // The first key outside `known` is an error that names the nearest known key.
  Status allow_only(const std::vector<std::string>& known) const;

  // List.
  std::size_t size() const;
  Node at(std::size_t index) const;

  // Scalars. The error says what stands there and what was expected. `what` names the key in the message.
  Result<std::string> as_string(std::string_view what) const;
  Result<std::int64_t> as_int(std::string_view what) const;
  Result<double> as_double(std::string_view what) const;
  Result<bool> as_bool(std::string_view what) const;
  Result<std::vector<std::string>> as_strings(std::string_view what) const;

 private:
  struct Tree;
  explicit Node(std::shared_ptr<const Tree> tree);
  std::shared_ptr<const Tree> tree_;
};

// The known word that is nearest to `word` by edit distance, if any is near enough to be meant.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace boreal::spec
