// Native-width vectors of float for the instruction set this is compiled for (see table.h for why
// nothing else is included). Element types: float, and bf16 as uint16_t bits. Sums over a row keep
// one partial sum a lane and add the lanes in a fixed tree, so a result depends on the set, not on
// the caller.
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

// Sixteen or fewer bf16 of floats, rounded to nearest even; a NaN stays one (quiet, cut off). Every
// set gives the same bits: VCVTNEPS2BF16 takes denormals for zero, so where there are any the
// rounding is done with integers.
BOREAL_INLINE Vh rounded_bits(Vf x) {
#if defined(__AVX512F__)
#if defined(__AVX512BF16__)
  if (__builtin_expect(_mm512_fpclass_ps_mask(x, 0x20) == 0, 1))
    return reinterpret_cast<Vh>(_mm512_cvtneps_pbh(x));
#endif
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i out = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
  return reinterpret_cast<Vh>(_mm512_cvtepi32_epi16(_mm512_srli_epi32(out, 16)));
#else
  const Vu bits = reinterpret_cast<Vu>(x);
  const Vu up = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const Vi is_nan = x != x;
  const Vu out = is_nan ? (bits >> 16) | 0x40U : up;
#if defined(__AVX2__)
  const auto wide = reinterpret_cast<__m256i>(out);
  const __m256i narrow = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
  return reinterpret_cast<Vh>(_mm256_castsi256_si128(narrow));
#else
  return __builtin_convertvector(out, Vh);
#endif
#endif
}

BOREAL_INLINE Vf widened(Vh h) {
#if defined(__AVX512F__)
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(h)), 16));
#elif defined(__AVX2__)
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(h)), 16));
#else
  return reinterpret_cast<Vf>(__builtin_convertvector(h, Vu) << 16);
#endif
}

BOREAL_INLINE Vf load(const float* p) {
  return *reinterpret_cast<const VfU*>(p);
}
BOREAL_INLINE Vf load(const std::uint16_t* p) {
  const Vh h = *reinterpret_cast<const VhU*>(p);
  return widened(h);
}
BOREAL_INLINE void store(float* p, Vf x) {
  *reinterpret_cast<VfU*>(p) = x;
}
BOREAL_INLINE void store(std::uint16_t* p, Vf x) {
  *reinterpret_cast<VhU*>(p) = rounded_bits(x);
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

// How many lanes of a vector count: all, or the first `count` < kWidth of them. Both read as that
// number; code that is given the one or the other is compiled for each.
struct Whole {
  constexpr operator std::int64_t() const { return kWidth; }
};
struct Part {
  std::int64_t count;
#if defined(__AVX512F__)
  __mmask16 mask() const {
    return static_cast<__mmask16>((1U << count) - 1U);
  }
#elif defined(__AVX2__)
  __m256i mask() const {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
  }
#endif
  operator std::int64_t() const {
    return count;
  }
};

struct No {
  constexpr operator bool() const { return false; }
};
struct Yes {
  constexpr operator bool() const { return true; }
};

// The first lanes of memory, the others zero; nothing past them is touched.
BOREAL_INLINE Vf load_n(const float* p, Part n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(n.mask(), p);
#elif defined(__AVX2__)
  return _mm256_maskload_ps(p, n.mask());
#else
  Vf x{};
  for (std::int64_t i = 0; i < n.count; ++i) x[i] = p[i];
  return x;
#endif
}
BOREAL_INLINE void store_n(float* p, Vf x, Part n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, n.mask(), x);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(p, n.mask(), x);
#else
  for (std::int64_t i = 0; i < n.count; ++i) p[i] = x[i];
#endif
}

BOREAL_INLINE Vf load_n(const std::uint16_t* p, Part n) {
#if defined(__AVX512F__)
  return widened(reinterpret_cast<Vh>(_mm256_maskz_loadu_epi16(n.mask(), p)));
#else
  // Runs of 4, 2 and 1: there is no masked load of 16 bits.
  Vh h{};
  auto* to = reinterpret_cast<std::uint16_t*>(&h);
  std::int64_t i = 0;
  for (std::int64_t run = 4; run > 0; run /= 2)
    if ((n.count & run) != 0) {
      __builtin_memcpy(to + i, p + i, static_cast<std::size_t>(run) * 2);
      i += run;
    }
  return widened(h);
#endif
}
BOREAL_INLINE void store_n(std::uint16_t* p, Vf x, Part n) {
  const Vh h = rounded_bits(x);
#if defined(__AVX512F__)
  _mm256_mask_storeu_epi16(p, n.mask(), reinterpret_cast<__m256i>(h));
#else
  const auto* from = reinterpret_cast<const std::uint16_t*>(&h);
  std::int64_t i = 0;
  for (std::int64_t run = 4; run > 0; run /= 2)
    if ((n.count & run) != 0) {
      __builtin_memcpy(p + i, from + i, static_cast<std::size_t>(run) * 2);
      i += run;
    }
#endif
}

template <class T>
BOREAL_INLINE Vf load_n(const T* p, Whole) {
  return load(p);
}
template <class T>
BOREAL_INLINE void store_n(T* p, Vf x, Whole) {
  store(p, x);
}
template <class T>
BOREAL_INLINE Vf load_n(const T* p, std::int64_t n) {
  return n == kWidth ? load(p) : load_n(p, Part{n});
}
template <class T>
BOREAL_INLINE void store_n(T* p, Vf x, std::int64_t n) {
  if (n == kWidth)
    store(p, x);
  else
    store_n(p, x, Part{n});
}

// x where lanes count, `rest` in the others.
BOREAL_INLINE Vf counted(Vf x, Whole, float = 0) {
  return x;
}
BOREAL_INLINE Vf counted(Vf x, Part n, float rest = 0) {
#if defined(__AVX512F__)
  return _mm512_mask_mov_ps(_mm512_set1_ps(rest), n.mask(), x);
#elif defined(__AVX2__)
  return _mm256_blendv_ps(_mm256_set1_ps(rest), x, _mm256_castsi256_ps(n.mask()));
#else
  for (std::int64_t i = n.count; i < kWidth; ++i) x[i] = rest;
  return x;
#endif
}

// What a value of T keeps of x.
BOREAL_INLINE Vf kept(Vf x, const float*) {
  return x;
}
BOREAL_INLINE Vf kept(Vf x, const std::uint16_t*) {
  return widened(rounded_bits(x));
}

BOREAL_INLINE Vf select(Vi mask, Vf yes, Vf no) {
  return mask ? yes : no;
}
// The larger, the smaller; b if one of them is not a number.
BOREAL_INLINE Vf vmax(Vf a, Vf b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#else
  return _mm_max_ps(a, b);
#endif
}
BOREAL_INLINE Vf vmin(Vf a, Vf b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#else
  return _mm_min_ps(a, b);
#endif
}

// Halves are folded onto each other until one lane is left: the order is fixed.
template <class Fold>
BOREAL_INLINE float fold_lanes(Vf x, Fold fold) {
#if defined(__AVX512F__)
  const __m256 eight = fold(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
#elif defined(__AVX2__)
  const __m256 eight = x;
#endif
#if defined(__AVX2__)
  const __m128 four = fold(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#else
  const __m128 four = x;
#endif
  const __m128 two = fold(four, _mm_movehl_ps(four, four));
  return fold(two, _mm_shuffle_ps(two, two, 1))[0];
}
BOREAL_INLINE float sum_lanes(Vf x) {
  return fold_lanes(x, [](auto a, auto b) { return a + b; });
}
BOREAL_INLINE float max_lanes(Vf x) {
  return fold_lanes(x, [](auto a, auto b) { return a > b ? a : b; });
}

#define BOREAL_BODY __attribute__((always_inline))

// Calls body(offset, lanes) over a row: whole vectors first, then one part.
template <class Body>
BOREAL_INLINE void over_row(std::int64_t columns, Body body) {
  std::int64_t c = 0;
  for (; c + kWidth <= columns; c += kWidth) body(c, Whole{});
  if (c < columns) body(c, Part{columns - c});
}

// The same for sums: body(offset, lanes, chain) with chain 0 .. 3 in turn, so that additions do not
// wait for each other.
template <class Body>
BOREAL_INLINE void over_row_in_chains(std::int64_t columns, Body body) {
  std::int64_t c = 0;
  for (; c + 4 * kWidth <= columns; c += 4 * kWidth) {
    body(c, Whole{}, 0);
    body(c + kWidth, Whole{}, 1);
    body(c + 2 * kWidth, Whole{}, 2);
    body(c + 3 * kWidth, Whole{}, 3);
  }
  for (; c + kWidth <= columns; c += kWidth) body(c, Whole{}, 0);
  if (c < columns) body(c, Part{columns - c}, 0);
}
BOREAL_INLINE float sum_chains(const Vf (&chain)[4]) {
  return sum_lanes((chain[0] + chain[1]) + (chain[2] + chain[3]));
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
