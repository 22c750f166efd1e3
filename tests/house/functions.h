// Finds the functions of a C++ source and their lengths without a compiler: by braces, and by what
// stands before each. Macros are not expanded; a lambda belongs to the function that holds it.
// Thread rule: values, any thread.
#pragma once

#include <string>
#include <vector>

#include "tests/house/source.h"

namespace boreal::house {

struct Function {
  std::string head;  // what stands before its brace, e.g. "Status Env::sync(const Path& path)"
  int line = 0;      // of the first line of the head
  int lines =
      0;  // from there to its closing brace, but for lines inside a raw string: those are data
};

// `balanced` is false if the braces do not match, for instance because two branches of an #if open
// one each; the lengths are then not to be trusted.
struct Functions {
  std::vector<Function> all;
  bool balanced = true;
};

Functions functions_of(const Source& source);

}  // namespace boreal::house
