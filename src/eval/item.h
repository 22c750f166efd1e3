// Items: the questions a model is scored on, as prep writes them (OUT/eval/TASK.jsonl, one object a
// line). Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::eval {

struct Item {
  std::string task;
  std::string bundle;
  std::string table;
  std::string record;
  std::string property;
  std::string family;
  std::string prompt;
  std::string answer;
  double commonest = 0;  // chance of exact recall: the share of the property's commonest value
  std::vector<std::string> choices;  // multiple choice only
  std::size_t answer_index = 0;
};

// max_items > 0 keeps so many, picked by the hash of the item. Refused: file, line and reason; a
// file without items.
Result<std::vector<Item>> read_items(Env& env, const std::string& path, std::int64_t max_items);

}  // namespace boreal::eval
