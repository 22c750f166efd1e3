// The tree behind Node and how it is built; only node*.cc include this. Immutable once built, so
// nodes share it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "spec/node.h"

namespace boreal::spec {

enum class NodeKind { null, scalar, list, map };

struct Node::Tree {
  struct Entry {
    std::string key;
    int line = 0;
    std::shared_ptr<const Tree> value;
  };
  NodeKind kind = NodeKind::null;
  std::shared_ptr<const std::string> name;  // of the file
  int line = 0;                             // from 1; 0: not from a file
  bool plain = false;                       // scalar without quotes: may be a number or a bool
  std::string text;
  std::vector<std::shared_ptr<const Tree>> items;
  std::vector<Entry> entries;  // in file order
  std::map<std::string, std::size_t, std::less<>> index;
};

}  // namespace boreal::spec
