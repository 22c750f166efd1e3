// Node: strict YAML. Every value knows its file and line; a key that nobody asked for, or that
// stands twice, is an error with a suggestion; "yes" is a string and no bool; 012 is no number;
// "12" in quotes is text. Refused with a line: anchors, aliases, tags, directives, a second
// document, tabs in the indentation, control characters, invalid UTF-8, nesting deeper than 64. A
// byte-order mark and CRLF are read over. Thread rule: values, immutable, any thread.
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
  // A value that was typed elsewhere (a command line): text is taken as it stands, as a plain
  // scalar.
  static Node scalar(std::string text, std::string name);

  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;
  bool is_null() const;

  // "recipes/quickstart.yaml:12"
  std::string where() const;
  // An error of kind usage about this value: "recipes/quickstart.yaml:12: message".
  Error wrong(std::string_view message) const;
  // What stands here, for messages: the scalar in quotes, or "a list", "a map", "nothing".
  std::string shown() const;

  // Map: keys in file order; find gives nothing for an absent key.
  std::vector<std::string> keys() const;
  std::optional<Node> find(std::string_view key) const;
  // Where the key (not its value) stands; where() of the map for an absent key.
  std::string where_key(std::string_view key) const;
  // The first key outside `known` is an error that names the nearest known key.
  Status allow_only(const std::vector<std::string>& known) const;

  // List. `at` requires index < size(); size of anything but a list is 0.
  std::size_t size() const;
  Node at(std::size_t index) const;

  // Scalars. The error says what stands there and what was expected. `what` names the key in the
  // message. as_string takes any scalar but an empty one; as_int plain decimals; as_double decimal
  // or scientific notation; as_bool true and false.
  Result<std::string> as_string(std::string_view what) const;
  Result<std::int64_t> as_int(std::string_view what) const;
  Result<double> as_double(std::string_view what) const;
  Result<bool> as_bool(std::string_view what) const;
  Result<std::vector<std::string>> as_strings(std::string_view what) const;

 private:
  struct Tree;
  friend class TreeBuilder;
  explicit Node(std::shared_ptr<const Tree> tree);
  std::shared_ptr<const Tree> tree_;
};

// The known word that is nearest to `word` by edit distance, if any is near enough to be meant.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace boreal::spec
