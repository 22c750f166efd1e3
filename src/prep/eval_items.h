// Evaluation items out of the facts that were trained: one JSON object a line.
//
//   recall_seen     a family that was trained with the property (one a fact, by hash)
//   recall_heldout  the family held out for the property
//   recall_style    a style that was never trained with anything
//   choice          four continuations, one right; the others are values of the same table and
//   property, by preference trained ones
//
// Fields: task, bundle, table, record, property, family, prompt, answer, commonest; choice adds
// choices and answer_index. The answer is the exact continuation of the prompt: value, unit, end
// punctuation. In the training text a line break or the end token follows it, so a generation is
// right if it equals the answer up to its first line break or end token. `commonest` is the share
// of the commonest value among the trained facts of this table and property: what guessing it
// always would score. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "corpus/families.h"
#include "corpus/table.h"
#include "text/tokenizer.h"

namespace boreal::prep {

struct EvalItem {
  std::string task;
  std::string bundle;
  std::string table;
  std::string record;
  std::string property;  // as asked
  std::string family;
  std::string prompt;
  std::string answer;
  double commonest = 0;
  std::vector<std::string> choices;
  std::size_t answer_index = 0;
};

struct EvalOptions {
  std::uint64_t seed = 1;
  // Of prompt, answer and end token. A fact that some trained family cannot state within it is not
  // asked, nor is any longer item. 0 = no bound.
  std::int64_t tokens_max = 0;
};

// All tasks of one table, in the order of records and facts. The prompt ends where the tokenizer
// cuts: with its blank if a blank is a token, before it if the blank belongs to the next word's
// token.
std::vector<EvalItem> make_eval_items(const corpus::Table& table, const corpus::Families& families,
                                      const corpus::Rotation& rotation,
                                      const text::Tokenizer& tokenizer, const EvalOptions& options);

// One line with its line break.
std::string to_json_line(const EvalItem& item);

}  // namespace boreal::prep
