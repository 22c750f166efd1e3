// What kernels have to do, for profiles and benchmarks. Thread rule: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kernels/attention.h"

namespace boreal::kernels {

// (query, key) pairs of one head that see each other.
inline std::int64_t visible_pairs(const AttentionShape& shape,
                                  std::span<const AttentionSpan> spans) {
  std::int64_t pairs = 0;
  for (const AttentionSpan& span : spans) {
    // Queries begin + 1 .. end see as many keys as their number, or the window.
    const std::int64_t begin = span.query_begin;
    const std::int64_t end = span.query_begin + span.queries;
    const std::int64_t limit = shape.window > 0 ? shape.window : end;
    const std::int64_t below = std::clamp(limit, begin, end);
    pairs += (below * (below + 1) - begin * (begin + 1)) / 2 + (end - below) * limit;
  }
  return pairs;
}

// FLOPs of so many products over the visible pairs of all heads: two forward; five backward, of
// which one computes the scores again.
inline std::int64_t attention_flops(const AttentionShape& shape,
                                    std::span<const AttentionSpan> spans, std::int64_t products) {
  return 2 * products * visible_pairs(shape, spans) * shape.heads * shape.head_dim;
}

}  // namespace boreal::kernels
