// Harness: runs items through an engine and sums up: per task and bundle the share that is right,
// its standard error and chance.
//
// Exact recall: greedy decoding of the prompt gives the answer, then a line break or the end of the
// text. Multiple choice: the right choice has the largest log-likelihood. Perplexity: exp of the
// mean loss of the weighted tokens. Thread rule: the thread that owns the engine.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dist/group.h"
#include "eval/item.h"
#include "infer/engine.h"
#include "text/tokenizer.h"
#include "tokens/token_stream.h"

namespace boreal::eval {

struct Score {
  std::string task;
  std::string bundle;  // "all" for the task as a whole
  std::int64_t items = 0;
  double value = 0;  // share right
  double standard_error = 0;
  double chance = 0;
};

struct Answer {
  Item item;
  bool right = false;
  std::string given;           // the generated text, or the chosen choice
  bool cut = false;            // the model said more than `given`
  double log_probability = 0;  // of the right answer
};

struct Evaluation {
  std::vector<Score> scores;  // task by task: "all", then bundles in alphabetical order
  std::vector<Answer> answers;
};

// Indices of so many answers of a task as a page may show, spread over its items.
constexpr std::size_t kShownOfTask = 4;
std::vector<std::size_t> shown_answers(const std::vector<Answer>& answers, std::string_view task);

using OnProgress = std::function<void(std::int64_t done, std::int64_t total)>;

// A wrong answer is cut behind its first wrong token; only shown_answers are asked for to their
// end. Refused: an item that is longer than the engine's passes. group: ranks that have the same
// model share the work; each ends with the whole evaluation, and its bits do not depend on how many
// they are.
Result<Evaluation> evaluate(infer::Engine& engine, const infer::EngineLimits& limits,
                            const text::Tokenizer& tokenizer, const std::vector<Item>& items,
                            const OnProgress& on_progress = {}, const dist::Group& group = {});

// Mean loss [nats] over the weighted targets of the batches; not a number if none counts.
// group: as above.
double mean_loss(infer::Engine& engine, const std::vector<tokens::Batch>& batches,
                 const dist::Group& group = {});

// results.json and samples.jsonl in the folder. perplexity: not a number when it was not asked for.
Status write_results(Env& env, const std::string& folder, const Evaluation& evaluation,
                     double perplexity, const std::string& model);
std::string results_json(const Evaluation& evaluation, double perplexity, const std::string& model);

}  // namespace boreal::eval
