// A C++ source file as the rules of the house see it: its text, and two copies of the same length
// in which everything but the code, or everything but the comments, is blank, so that a word in a
// string or a comment is never taken for code. Thread rule: values, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace boreal::house {

struct Source {
  std::string path;      // relative to the root of the tree, e.g. "src/base/env.h"
  std::string text;      // as it is on disk
  std::string code;      // text without comments and without the insides of literals
  std::string comments;  // text without anything but comments, with their slashes

  bool is_header() const { return path.ends_with(".h"); }
};

Source make_source(std::string path, std::string text);

// Every .h and .cc below root/folder for each folder that exists, sorted by path.
std::vector<Source> load_sources(const std::string& root, const std::vector<std::string>& folders);

// What `#include "X"` and `#include <X>` name, with the line each stands on (from 1).
struct Include {
  int line = 0;
  bool quoted = false;
  std::string name;
};
std::vector<Include> includes_of(const Source& source);

std::vector<std::string_view> lines_of(std::string_view text);

// The line (from 1) of a place in the text.
int line_at(std::string_view text, std::size_t place);

// The places where `word` stands in code and is no part of a longer name.
std::vector<std::size_t> find_word(std::string_view code, std::string_view word);

}  // namespace boreal::house
