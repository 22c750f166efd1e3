#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/check.h"

namespace boreal::infer {

std::int32_t greedy(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
}

double log_probability(std::span<const float> logits, std::int32_t id) {
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - max);
  return static_cast<double>(logits[static_cast<std::size_t>(id)]) - max - std::log(sum);
}

std::int32_t sample(std::span<const float> logits, const Sampling& sampling, double uniform) {
  CHECK(!logits.empty());
  if (sampling.temperature <= 0) return greedy(logits);
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](std::int32_t id) {
    return static_cast<double>(logits[static_cast<std::size_t>(id)]);
  };
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  };
  if (sampling.top_k > 0 && sampling.top_k < std::ssize(ids)) {
    std::ranges::nth_element(ids, ids.begin() + sampling.top_k, likelier);
    ids.resize(static_cast<std::size_t>(sampling.top_k));
  }
  std::ranges::sort(ids, likelier);
  std::vector<double> weight;
  double sum = 0;
  for (const std::int32_t id : ids) {
    weight.push_back(std::exp((logit(id) - logit(ids[0])) / sampling.temperature));
    sum += weight.back();
  }
  // The smallest set of the likeliest tokens that holds top_p of the probability.
  double kept = 0;
  std::size_t count = 0;
  while (count < ids.size() && (count == 0 || kept < sampling.top_p * sum)) kept += weight[count++];
  double left = uniform * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    if (left < weight[i]) return ids[i];
    left -= weight[i];
  }
  return ids[count - 1];
}

}  // namespace boreal::infer
