// Normal draws: Philox blocks (base/philox.h) and Box-Muller, a run of counters at a time in loops
// that the compiler turns into vectors. There are only sums, products, quotients and roots in
// double, none of them fused, so every instruction set draws the same bits.
#pragma once

#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

constexpr int kDraws = 64;  // of a run
constexpr std::uint64_t kLow = 0xffffffffU;

BOREAL_INLINE double as_double(std::uint64_t bits) {
  return __builtin_bit_cast(double, bits);
}

// Of a whole number below 2^32; there is no instruction for it before AVX-512.
BOREAL_INLINE double whole(std::uint64_t below_2_32) {
  return as_double(0x4330000000000000U | below_2_32) - 0x1p52;
}

// Four words a draw, each in 64 bits.
BOREAL_INLINE void philox(const std::uint32_t* key, std::uint64_t first,
                          std::uint64_t (&word)[4][kDraws]) {
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t counter = first + static_cast<std::uint64_t>(i);
    word[0][i] = counter & kLow;
    word[1][i] = counter >> 32;
    word[2][i] = word[3][i] = 0;
  }
  std::uint32_t key0 = key[0];
  std::uint32_t key1 = key[1];
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kDraws; ++i) {
      const std::uint64_t p0 = 0xD2511F53U * word[0][i];
      const std::uint64_t p1 = 0xCD9E8D57U * word[2][i];
      word[0][i] = (p1 >> 32) ^ word[1][i] ^ key0;
      word[1][i] = p1 & kLow;
      word[2][i] = (p0 >> 32) ^ word[3][i] ^ key1;
      word[3][i] = p0 & kLow;
    }
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
}

// Natural logarithm of u in (0, 1]: 2 artanh((m - 1) / (m + 1)) with m within a factor sqrt 2 of 1.
BOREAL_INLINE double log_of(double u) {
  const std::uint64_t bits = __builtin_bit_cast(std::uint64_t, u);
  double exponent = whole(bits >> 52) - 1023;
  double m = as_double((bits & 0xfffffffffffffU) | 0x3ff0000000000000U);
  const bool high = m > 1.4142135623730951;
  m = high ? 0.5 * m : m;
  exponent = high ? exponent + 1 : exponent;
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  double sum = 1.0 / 19;
  for (int k = 17; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
  return exponent * 0.6931471805599453 + 2 * s * sum;
}

// Cosine of 2 pi v, v in [0, 1): series about the nearest quarter of the circle.
BOREAL_INLINE double cosine_of_turn(double v) {
  const double quarter = __builtin_floor(4 * v + 0.5);
  const double r = (4 * v - quarter) * 1.5707963267948966;
  const double z = r * r;
  double sine = 1;
  double cosine = 1;
  for (int k = 15; k > 1; k -= 2) sine = 1 - sine * z / (k * (k - 1));
  for (int k = 16; k > 0; k -= 2) cosine = 1 - cosine * z / (k * (k - 1));
  const bool odd = (quarter == 1) | (quarter == 3);
  const double value = odd ? sine * r : cosine;
  return (quarter == 1) | (quarter == 2) ? -value : value;
}

void normals(const std::uint32_t* key, std::uint64_t first, double scale, float* out,
             std::int64_t count) {
  std::uint64_t word[4][kDraws];
  float drawn[kDraws];
  for (std::int64_t begin = 0; begin < count; begin += kDraws) {
    philox(key, first + static_cast<std::uint64_t>(begin), word);
    for (int i = 0; i < kDraws; ++i) {
      // 53 bits each; u is in (0, 1], so that the logarithm never meets zero.
      const double u = (whole(word[1][i]) * 0x1p21 + whole(word[0][i] >> 11) + 1) * 0x1p-53;
      const double v = (whole(word[3][i]) * 0x1p21 + whole(word[2][i] >> 11)) * 0x1p-53;
      const double normal = __builtin_sqrt(-2 * log_of(u)) * cosine_of_turn(v);
      drawn[i] = static_cast<float>(scale * normal);
    }
    const std::int64_t n = count - begin < kDraws ? count - begin : kDraws;
    for (std::int64_t i = 0; i < n; ++i) out[begin + i] = drawn[i];
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
