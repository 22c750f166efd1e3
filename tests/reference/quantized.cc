#include "tests/reference/quantized.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace boreal::reference {

namespace {
constexpr std::int64_t kBlock = 32;

double half(unsigned low, unsigned high) {
  const unsigned bits = low | high << 8;
  const int exponent = static_cast<int>(bits >> 10 & 31U);
  const double fraction = static_cast<double>(bits & 1023U) / 1024;
  const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
  if (exponent == 31) return std::numeric_limits<double>::quiet_NaN();
  if (exponent == 0) return sign * std::ldexp(fraction, -14);
  return sign * std::ldexp(1 + fraction, exponent - 15);
}
}  // namespace

Matrix weights_of_blocks(std::span<const std::byte> blocks, int bits, std::int64_t rows,
                         std::int64_t columns) {
  const std::int64_t a_row = (columns + kBlock - 1) / kBlock;
  const std::int64_t bytes = 2 + kBlock * bits / 8;
  Matrix w(rows, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto* at =
          reinterpret_cast<const unsigned char*>(blocks.data()) + (r * a_row + c / kBlock) * bytes;
      const std::int64_t i = c % kBlock;
      int step = 0;
      if (bits == 8)
        step = static_cast<signed char>(at[2 + i]);
      else
        step = (i < 16 ? at[2 + i] % 16 : at[2 + i - 16] / 16) - 8;
      w(r, c) = half(at[0], at[1]) * step;
    }
  return w;
}

Matrix rounded_activations(const Matrix& a) {
  Matrix out(a.rows, a.columns);
  for (std::int64_t r = 0; r < a.rows; ++r)
    for (std::int64_t begin = 0; begin < a.columns; begin += kBlock) {
      const std::int64_t end = std::min(begin + kBlock, a.columns);
      double largest = 0;
      bool finite = true;
      for (std::int64_t c = begin; c < end; ++c) {
        largest = std::max(largest, std::abs(a(r, c)));
        finite = finite && std::isfinite(a(r, c));
      }
      const float reciprocal = 127.0F / static_cast<float>(largest);
      for (std::int64_t c = begin; c < end; ++c) {
        if (!finite)
          out(r, c) = std::numeric_limits<double>::quiet_NaN();
        else if (largest >= 1e-30F)
          out(r, c) = std::nearbyint(static_cast<float>(a(r, c)) * reciprocal) * largest / 127;
      }
    }
  return out;
}

Matrix quantized_product(const Matrix& a, const Matrix& weights) {
  return matmul(rounded_activations(a), transpose(weights));
}

}  // namespace boreal::reference
