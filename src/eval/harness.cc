#include "eval/harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

namespace boreal::eval {

namespace {

using infer::Sequence;
using text::TokenId;

// prompt + continuation, predicting each next token; the last target is only asked for its greedy
// token.
Sequence sequence_of(const std::vector<TokenId>& prompt, const std::vector<TokenId>& continuation) {
  Sequence sequence;
  sequence.input = prompt;
  sequence.input.insert(sequence.input.end(), continuation.begin(), continuation.end());
  sequence.target.assign(sequence.input.begin() + 1, sequence.input.end());
  sequence.target.push_back(0);
  return sequence;
}

double log_likelihood(const std::vector<infer::Prediction>& predictions, std::size_t prompt,
                      std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += predictions[prompt - 1 + i].log_probability;
  return sum;
}

bool ends_answer(TokenId id, const text::Tokenizer& tokenizer) {
  if (tokenizer.end_of_text() == id) return true;
  return tokenizer.decode(std::span(&id, 1)).starts_with('\n');
}

// engine.predict() of all sequences, each of the group's ranks doing its share.
std::vector<std::vector<infer::Prediction>> predict(infer::Engine& engine,
                                                    const std::vector<Sequence>& sequences,
                                                    const dist::Group& group) {
  if (group.size() == 1) return engine.predict(sequences);
  const auto ranks = static_cast<std::size_t>(group.size());
  std::vector<Sequence> mine;
  for (auto i = static_cast<std::size_t>(group.rank()); i < sequences.size(); i += ranks)
    mine.push_back(sequences[i]);
  std::string bytes;
  for (const auto& predictions : engine.predict(mine))
    bytes.append(reinterpret_cast<const char*>(predictions.data()),
                 predictions.size() * sizeof(infer::Prediction));
  const std::vector<std::string> all = group.gather_texts(bytes);
  std::vector<std::size_t> at(ranks);
  std::vector<std::vector<infer::Prediction>> out(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    out[i].resize(sequences[i].input.size());
    const std::size_t count = out[i].size() * sizeof(infer::Prediction);
    std::memcpy(out[i].data(), all[i % ranks].data() + at[i % ranks], count);
    at[i % ranks] += count;
  }
  return out;
}

struct Prepared {
  std::vector<TokenId> prompt;
  std::vector<std::vector<TokenId>> continuations;  // the answer, or the choices
};

Answer judge_recall(const Item& item, const Prepared& prepared,
                    const std::vector<infer::Prediction>& predictions,
                    const text::Tokenizer& tokenizer) {
  const std::vector<TokenId>& answer = prepared.continuations[0];
  const std::size_t first = prepared.prompt.size() - 1;
  Answer result{
      .item = item,
      .right = true,
      .log_probability = log_likelihood(predictions, prepared.prompt.size(), answer.size())};
  std::vector<TokenId> given;
  // Teacher-forced argmax equals greedy decoding up to and including the first difference.
  for (std::size_t i = 0; i < answer.size() && result.right; ++i) {
    given.push_back(predictions[first + i].greedy);
    result.right = given.back() == answer[i];
  }
  if (result.right && !ends_answer(predictions[first + answer.size()].greedy, tokenizer)) {
    given.push_back(predictions[first + answer.size()].greedy);
    result.right = false;
  }
  result.given = tokenizer.decode(given);
  result.cut = !result.right;
  return result;
}

Answer judge_choice(const Item& item, const Prepared& prepared,
                    std::span<const std::vector<infer::Prediction>> predictions) {
  std::size_t best = 0;
  double best_value = -std::numeric_limits<double>::infinity();
  Answer result{.item = item};
  for (std::size_t c = 0; c < predictions.size(); ++c) {
    const double value =
        log_likelihood(predictions[c], prepared.prompt.size(), prepared.continuations[c].size());
    if (c == item.answer_index) result.log_probability = value;
    if (value > best_value) {
      best = c;
      best_value = value;
    }
  }
  result.right = best == item.answer_index;
  result.given = item.choices[best];
  return result;
}

std::vector<TokenId> ends_of_answers(const text::Tokenizer& tokenizer) {
  std::vector<TokenId> ends;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (ends_answer(id, tokenizer)) ends.push_back(id);
  return ends;
}

// Lets the model say the shown answers to their end, or to a few words beyond the right one's.
void finish_shown(infer::Engine& engine, const text::Tokenizer& tokenizer,
                  std::vector<Answer>& answers) {
  constexpr std::int64_t kBeyond = 16;
  std::vector<std::string_view> tasks;
  std::vector<Answer*> cut;
  for (const Answer& answer : answers)
    if (std::ranges::find(tasks, answer.item.task) == tasks.end())
      tasks.push_back(answer.item.task);
  for (const std::string_view task : tasks)
    for (const std::size_t i : shown_answers(answers, task))
      if (answers[i].cut) cut.push_back(&answers[i]);
  if (cut.empty()) return;
  const std::vector<TokenId> ends = ends_of_answers(tokenizer);
  std::vector<infer::Request> requests;
  for (const Answer* answer : cut) {
    const auto right = static_cast<std::int64_t>(tokenizer.encode(answer->item.answer).size());
    requests.push_back({.prompt = tokenizer.encode(answer->item.prompt),
                        .max_tokens = right + kBeyond,
                        .stop = ends});
  }
  const auto completions = engine.generate(requests);
  for (std::size_t i = 0; i < cut.size(); ++i) {
    std::vector<TokenId> ids = completions[i].tokens;
    if (completions[i].stopped) ids.pop_back();
    cut[i]->given = tokenizer.decode(ids);
    cut[i]->cut = !completions[i].stopped;
  }
}

void add_scores(Evaluation& evaluation) {
  struct Sum {
    std::int64_t items = 0;
    std::int64_t right = 0;
    double chance = 0;
  };
  std::vector<std::string> tasks;
  std::map<std::string, std::map<std::string, Sum>> sums;
  for (const Answer& answer : evaluation.answers) {
    if (!sums.contains(answer.item.task)) tasks.push_back(answer.item.task);
    const double chance = answer.item.choices.empty()
                              ? answer.item.commonest
                              : 1.0 / static_cast<double>(answer.item.choices.size());
    for (const std::string& bundle : {std::string(), answer.item.bundle}) {
      Sum& sum = sums[answer.item.task][bundle];
      ++sum.items;
      sum.right += answer.right ? 1 : 0;
      sum.chance += chance;
    }
  }
  for (const std::string& task : tasks)
    for (const auto& [bundle, sum] : sums[task]) {
      const auto n = static_cast<double>(sum.items);
      const double p = static_cast<double>(sum.right) / n;
      // Of a mean of zeros and ones, with n - 1.
      const double error = sum.items > 1 ? std::sqrt(p * (1 - p) / (n - 1)) : 0;
      evaluation.scores.push_back(
          {task, bundle.empty() ? "all" : bundle, sum.items, p, error, sum.chance / n});
    }
}

}  // namespace

std::vector<std::size_t> shown_answers(const std::vector<Answer>& answers, std::string_view task) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < answers.size(); ++i)
    if (answers[i].item.task == task) all.push_back(i);
  const std::size_t count = std::min(kShownOfTask, all.size());
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < count; ++i) shown.push_back(all[i * all.size() / count]);
  return shown;
}

Result<Evaluation> evaluate(infer::Engine& engine, const infer::EngineLimits& limits,
                            const text::Tokenizer& tokenizer, const std::vector<Item>& items,
                            const OnProgress& on_progress, const dist::Group& group) {
  Evaluation evaluation;
  constexpr std::size_t kChunk = 256;
  for (std::size_t first = 0; first < items.size(); first += kChunk) {
    const std::size_t last = std::min(items.size(), first + kChunk);
    std::vector<Prepared> prepared;
    std::vector<Sequence> sequences;
    for (std::size_t i = first; i < last; ++i) {
      const Item& item = items[i];
      Prepared p{.prompt = tokenizer.encode(item.prompt), .continuations = {}};
      for (const std::string& text :
           item.choices.empty() ? std::vector{item.answer} : item.choices) {
        p.continuations.push_back(tokenizer.encode(text));
        sequences.push_back(sequence_of(p.prompt, p.continuations.back()));
        if (static_cast<std::int64_t>(sequences.back().input.size()) >
            std::min(limits.rows, limits.capacity))
          return refused("item \"{}\" of task {}: {} tokens, the model takes {}", item.prompt,
                         item.task, sequences.back().input.size(),
                         std::min(limits.rows, limits.capacity));
      }
      prepared.push_back(std::move(p));
    }
    const auto predictions = predict(engine, sequences, group);
    std::size_t at = 0;
    for (std::size_t i = first; i < last; ++i) {
      const Prepared& p = prepared[i - first];
      const std::span here(predictions.data() + at, p.continuations.size());
      at += here.size();
      evaluation.answers.push_back(items[i].choices.empty()
                                       ? judge_recall(items[i], p, here[0], tokenizer)
                                       : judge_choice(items[i], p, here));
    }
    if (on_progress)
      on_progress(static_cast<std::int64_t>(last), static_cast<std::int64_t>(items.size()));
  }
  finish_shown(engine, tokenizer, evaluation.answers);
  add_scores(evaluation);
  return evaluation;
}

double mean_loss(infer::Engine& engine, const std::vector<tokens::Batch>& batches,
                 const dist::Group& group) {
  double loss = 0;
  double weight = 0;
  for (const tokens::Batch& batch : batches) {
    std::vector<Sequence> documents;
    std::vector<float> weights;
    for (std::int64_t row = 0; row < batch.rows; ++row)
      for (std::int64_t column = 0; column < batch.sequence; ++column) {
        const auto at = static_cast<std::size_t>(row * batch.sequence + column);
        if (column == 0 || batch.doc_begin[at] != batch.doc_begin[at - 1]) documents.emplace_back();
        documents.back().input.push_back(batch.input[at]);
        documents.back().target.push_back(batch.target[at]);
        weights.push_back(batch.weight[at]);
      }
    std::size_t at = 0;
    for (const auto& document : predict(engine, documents, group))
      for (const infer::Prediction& prediction : document) {
        const auto w = static_cast<double>(weights[at++]);
        if (w == 0) continue;
        loss -= w * prediction.log_probability;
        weight += w;
      }
  }
  return weight > 0 ? loss / weight : std::numeric_limits<double>::quiet_NaN();
}

std::string results_json(const Evaluation& evaluation, double perplexity,
                         const std::string& model) {
  nlohmann::ordered_json tasks = nlohmann::ordered_json::object();
  for (const Score& s : evaluation.scores)
    tasks[s.task][s.bundle] = {{"items", s.items},
                               {"value", s.value},
                               {"standard_error", s.standard_error},
                               {"chance", s.chance}};
  nlohmann::ordered_json json{{"model", model}, {"tasks", tasks}};
  if (std::isfinite(perplexity)) json["validation_perplexity"] = perplexity;
  return json.dump(2) + "\n";
}

Status write_results(Env& env, const std::string& folder, const Evaluation& evaluation,
                     double perplexity, const std::string& model) {
  std::string lines;
  for (const Answer& a : evaluation.answers) {
    const nlohmann::ordered_json json{{"task", a.item.task},
                                      {"bundle", a.item.bundle},
                                      {"table", a.item.table},
                                      {"record", a.item.record},
                                      {"property", a.item.property},
                                      {"family", a.item.family},
                                      {"prompt", a.item.prompt},
                                      {"answer", a.item.answer},
                                      {"given", a.given},
                                      {"cut", a.cut},
                                      {"right", a.right},
                                      {"log_probability", a.log_probability}};
    lines += json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  RETURN_IF_ERROR(env.make_dirs(folder));
  RETURN_IF_ERROR(env.write_file(join_path(folder, "samples.jsonl"), lines));
  return env.write_file(join_path(folder, "results.json"),
                        results_json(evaluation, perplexity, model));
}

}  // namespace boreal::eval
