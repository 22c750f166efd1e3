// A model whose answers are known by hand: the next token depends on the last one alone. One-hot
// embeddings and layers that add nothing turn the head into a table of logits. Tokens are single
// bytes. Thread rule: one thread's.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "infer/engine.h"
#include "parallel/weight_store.h"
#include "text/tokenizer.h"

namespace boreal::eval {

class Bigram {
 public:
  // After the first character of a pair the second has kLogit, every other token 0; "" is the end
  // of the text. After any other character all tokens are equal.
  explicit Bigram(const std::vector<std::pair<char, std::string>>& next);

  static constexpr double kLogit = 8;
  double log_probability_of_next() const;   // of the likely token of a pair
  double log_probability_of_any() const;    // of any token where all are equal
  double log_probability_of_other() const;  // of another token of a pair

  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  const infer::EngineLimits& limits() const { return limits_; }
  infer::Engine engine();

 private:
  text::Tokenizer tokenizer_;
  device::Pool pool_;
  device::Context ctx_;
  infer::EngineLimits limits_{.sequences = 1, .capacity = 16, .rows = 32};
  std::unique_ptr<model::Decoder> model_;
  std::unique_ptr<parallel::WeightStore> weights_;
};

}  // namespace boreal::eval
