// SampleMap: sample s of one source -> its window of tokens, as a pure function of (key, s).
// The tokens [0, tokens) are a circle. In epoch e the windows [offset_e + j T, + T) for j <
// floor(tokens / T) are each drawn once, in an order permuted by the key of the epoch; offset_e
// turns the circle, so that rows cut other documents in each epoch and the up to T - 1 tokens that
// make no whole row are others each time. Thread rule: a value.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "base/philox.h"

namespace boreal::tokens {

class SampleMap {
 public:
  SampleMap() = default;
  // Requires tokens >= sequence >= 1.
  SampleMap(std::uint64_t key, std::int64_t tokens, std::int64_t sequence)
      : key_(key), tokens_(tokens), sequence_(sequence), epoch_samples_(tokens / sequence) {
    CHECK_GE(epoch_samples_, 1);
  }

  std::int64_t tokens() const { return tokens_; }
  std::int64_t epoch_samples() const { return epoch_samples_; }

  // The first token of the window of sample s >= 0.
  std::int64_t window_begin(std::int64_t s) const {
    const auto epoch = static_cast<std::uint64_t>(s / epoch_samples_);
    const std::uint64_t key = mix(key_, epoch);
    const auto window =
        static_cast<std::int64_t>(permute(static_cast<std::uint64_t>(s % epoch_samples_),
                                          static_cast<std::uint64_t>(epoch_samples_), key));
    const auto offset =
        static_cast<std::int64_t>(mix(key, "rotation") % static_cast<std::uint64_t>(tokens_));
    return (offset + window * sequence_) % tokens_;
  }

 private:
  std::uint64_t key_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t sequence_ = 1;
  std::int64_t epoch_samples_ = 1;
};

}  // namespace boreal::tokens
