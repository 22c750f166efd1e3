// Picks the next token from a row of logits. Greedy at temperature 0 (the lowest id wins a tie),
// else top-k, then top-p ("nucleus", Holtzman et al. 2020), then a draw. The draw is a pure
// function of (seed, request, position): it does not depend on what else is in the batch. Thread
// rule: pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace boreal::infer {

struct Sampling {
  double temperature = 0;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  std::uint64_t seed = 1;
};

// uniform: a number in [0, 1) for this draw; not used when greedy.
std::int32_t sample(std::span<const float> logits, const Sampling& sampling, double uniform);

// log softmax(logits)[id], in double.
double log_probability(std::span<const float> logits, std::int32_t id);
std::int32_t greedy(std::span<const float> logits);

}  // namespace boreal::infer
