// Blend: which source the n-th sample comes from, such that in every prefix of n samples each
// source stands within one sample of its share n * quota / period. A pure function of (weights, n)
// in O(1) and integers only, so all machines agree for ever.
//
// The weights become whole quotas that add up to a period, and one period is scheduled when the
// blend is made: R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980),
// keeps k sources within 1 - 1/(2k - 2) of their shares. Every further period repeats it, since all
// counts are exact at its end. Weights with a common denominator up to 2^20 keep their exact ratio;
// others are rounded to multiples of 2^-20 of the sum. Thread rule: const methods from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace boreal::tokens {

class Blend {
 public:
  // Usage error: no weight, a weight that is not finite and positive, or one below a two-millionth
  // of the sum.
  static Result<Blend> create(std::span<const double> weights);

  struct Draw {
    std::size_t source = 0;
    std::int64_t sample = 0;  // how often the source was drawn before
  };
  // Requires n >= 0.
  Draw draw(std::int64_t n) const;

  // How often the source is drawn in the first n samples.
  std::int64_t count_before(std::size_t source, std::int64_t n) const;

  std::int64_t period() const { return period_; }
  const std::vector<std::int64_t>& quotas() const { return quotas_; }

 private:
  Blend(std::int64_t period, std::vector<std::int64_t> quotas);

  std::int64_t period_ = 1;
  std::vector<std::int64_t> quotas_;
  // One period: the source of each slot, and how often it stands in the slots before.
  std::vector<std::uint16_t> source_;
  std::vector<std::uint32_t> rank_;
};

}  // namespace boreal::tokens
