// The loops of sums over ranks: fp32 accumulators in rank order, ((r0 + r1) + r2) + ..., and one
// rounding. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "dist/group.h"

namespace boreal::dist {

// out = the sum (largest; NaN is larger than all) over the ranks of n elements. fp32 or bf16. out
// may be one of the inputs.
void combine_chunks(DType dtype, Reduce reduce, std::span<const std::byte* const> chunks,
                    std::int64_t n, std::byte* out);

}  // namespace boreal::dist
