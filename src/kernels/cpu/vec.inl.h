// Native-width vectors of float for the instruction set this is compiled for (see table.h for why
// nothing else is included). Element types: float, and bf16 as uint16_t bits, rounded to nearest
// even on store. Sums over a row keep one partial sum a lane and add the lanes in a fixed tree, so
// a result depends on the set, not on the caller.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

typedef float Vf __attribute__((vector_size(kWidth * 4), aligned(kWidth * 4)));
typedef std::int32_t Vi __attribute__((vector_size(kWidth * 4), aligned(kWidth * 4)));
typedef std::uint32_t Vu __attribute__((vector_size(kWidth * 4), aligned(kWidth * 4)));
typedef std::uint16_t Vh __attribute__((vector_size(kWidth * 2), aligned(kWidth * 2)));
typedef float VfU __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef std::uint16_t VhU __attribute__((vector_size(kWidth * 2), aligned(2), may_alias));
typedef std::uint32_t VuU __attribute__((vector_size(kWidth * 4), aligned(2), may_alias));

#define BOREAL_INLINE inline __attribute__((always_inline))

BOREAL_INLINE Vf splat(float x) {
  return x - Vf{};
}

// a * b + c, fused where the set has it.
BOREAL_INLINE Vf fma(Vf a, Vf b, Vf c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

BOREAL_INLINE Vf load(const float* p) {
  return *reinterpret_cast<const VfU*>(p);
}
BOREAL_INLINE Vf load(const std::uint16_t* p) {
  const Vh h = *reinterpret_cast<const VhU*>(p);
  return reinterpret_cast<Vf>(__builtin_convertvector(h, Vu) << 16);
}
BOREAL_INLINE void store(float* p, Vf x) {
  *reinterpret_cast<VfU*>(p) = x;
}
BOREAL_INLINE void store(std::uint16_t* p, Vf x) {
  const Vu bits = reinterpret_cast<Vu>(x);
  const Vu rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const Vu nan = (bits >> 16) | 0x40U;
  const Vi is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
  const Vu mask = reinterpret_cast<Vu>(is_nan);
  const Vu out = (rounded & ~mask) | (nan & mask);
  *reinterpret_cast<VhU*>(p) = __builtin_convertvector(out, Vh);
}

BOREAL_INLINE float load1(const float* p) {
  return *p;
}
BOREAL_INLINE float load1(const std::uint16_t* p) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(*p) << 16);
}
BOREAL_INLINE void store1(float* p, float x) {
  *p = x;
}
BOREAL_INLINE void store1(std::uint16_t* p, float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40U;
  *p = static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? nan : rounded);
}

// The first n lanes of memory, the others zero; n < kWidth.
template <class T>
BOREAL_INLINE Vf load_part(const T* p, std::int64_t n) {
  Vf x{};
  for (std::int64_t i = 0; i < n; ++i) x[i] = load1(p + i);
  return x;
}
template <class T>
BOREAL_INLINE void store_part(T* p, Vf x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) store1(p + i, x[i]);
}

BOREAL_INLINE float sum_lanes(Vf x) {
  float lane[kWidth];
  store(lane, x);
  for (int half = kWidth / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

BOREAL_INLINE Vf select(Vi mask, Vf yes, Vf no) {
  return mask ? yes : no;
}
BOREAL_INLINE Vf vmax(Vf a, Vf b) {
  return a > b ? a : b;
}

BOREAL_INLINE float max_lanes(Vf x) {
  float lane[kWidth];
  store(lane, x);
  float best = lane[0];
  for (int i = 1; i < kWidth; ++i) best = lane[i] > best ? lane[i] : best;
  return best;
}

// e^x: range reduction by ln 2 in two parts and a polynomial of degree 6; about 1 ulp. Below -87.3
// the result is 0, above 88.3 it is that of 88.3 (callers subtract the row's maximum).
BOREAL_INLINE Vf exp(Vf x) {
  const Vi tiny = x < -87.3F;
  x = x > 88.3F ? splat(88.3F) : x;
  x = x < -87.3F ? splat(-87.3F) : x;
  // Round to nearest by the float trick: adding 1.5 * 2^23 leaves the integer in the low bits.
  const Vf shifted = x * 1.44269504088896341F + 12582912.0F;
  const Vf n = shifted - 12582912.0F;
  Vf r = x - n * 0.693359375F;
  r = r - n * -2.12194440e-4F;
  Vf p = splat(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const Vf y = p * r * r + r + 1.0F;
  const Vi exponent = (reinterpret_cast<Vi>(shifted) - 0x4b400000) << 23;
  const Vf scaled = reinterpret_cast<Vf>(reinterpret_cast<Vi>(y) + exponent);
  return tiny ? Vf{} : scaled;
}

BOREAL_INLINE Vf sigmoid(Vf x) {
  return 1.0F / (1.0F + exp(-x));
}
// tanh(x) = 1 - 2 / (e^2x + 1)
BOREAL_INLINE Vf tanh(Vf x) {
  return 1.0F - 2.0F / (exp(x * 2.0F) + 1.0F);
}

// Calls body(offset, lanes) over a row: whole vectors first, then one part.
template <class Body>
BOREAL_INLINE void over_row(std::int64_t columns, Body body) {
  std::int64_t c = 0;
  for (; c + kWidth <= columns; c += kWidth) body(c, static_cast<std::int64_t>(kWidth));
  if (c < columns) body(c, columns - c);
}
template <class T>
BOREAL_INLINE Vf load_n(const T* p, std::int64_t n) {
  return n == kWidth ? load(p) : load_part(p, n);
}
template <class T>
BOREAL_INLINE void store_n(T* p, Vf x, std::int64_t n) {
  if (n == kWidth)
    store(p, x);
  else
    store_part(p, x, n);
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
