// Slow twin of kernels/quantized.h: the numbers that blocks of weights stand for, and the product
// with rows of activations rounded to 8 bits, in double. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <span>

#include "tests/reference/matrix.h"

namespace boreal::reference {

// rows x columns weights out of blocks of 32, each an fp16 scale and then 32 signed bytes, or 16
// bytes whose low halves are the first sixteen steps from -8 and whose high halves the others.
Matrix weights_of_blocks(std::span<const std::byte> blocks, int bits, std::int64_t rows,
                         std::int64_t columns);

// Each block of 32 in a row becomes round(x * (127 / largest)) * (largest / 127), the reciprocal in
// fp32, halves to even; all NaN where one is not finite, zeros where the largest is below 1e-30.
Matrix rounded_activations(const Matrix& a);

// rounded_activations(a) . transpose(weights)
Matrix quantized_product(const Matrix& a, const Matrix& weights);

}  // namespace boreal::reference
