// The rules of how this code is written, as far as a program can check them (docs/building.md lists
// them). Each finding weighs how far it is from the rule; what the tree still had when a rule came
// in stands in tests/house/ratchet.txt, where the weights may only fall. Thread rule: values, any
// thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tests/house/source.h"

namespace boreal::house {

constexpr int kFileLinesMax = 400;
constexpr int kFunctionLinesMax = 70;
constexpr int kLineCharsMax = 100;

struct Finding {
  std::string rule;  // one word, e.g. "function_length"
  std::string path;
  int line = 0;
  int weight = 1;  // lines over the limit, or 1 for an offence that has no size
  std::string message;
};

// All that is wrong in one file.
std::vector<Finding> check_source(const Source& source);

// Folders of src/ that hold code and have no test in the folder of tests/ of the same name.
std::vector<Finding> check_test_folders(const std::vector<Source>& sources);

// (rule, path) -> weight
using Weights = std::map<std::pair<std::string, std::string>, int>;

Weights weights_of(const std::vector<Finding>& findings);

// Lines of "rule path weight"; blank lines and those that begin with # are skipped.
Result<Weights> parse_ratchet(std::string_view text);

// What is heavier than the ratchet allows, each with its place, and what has become lighter without
// the ratchet being lowered to it.
std::vector<std::string> compare_with_ratchet(const std::vector<Finding>& findings,
                                              const Weights& ratchet);

// The entries of the ratchet at what is found now, none of them raised and none new: one line each.
std::string lowered_ratchet(const std::vector<Finding>& findings, const Weights& ratchet);

}  // namespace boreal::house
