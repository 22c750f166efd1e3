// Packing of the operands of a product into the panels that gemm.inl.h reads, and transposition.
#pragma once

#include "kernels/cpu/micro.inl.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

template <class S, class T>
BOREAL_INLINE T convert(S x) {
  T y;
  store1(&y, load1(&x));
  return y;
}

// Two rows of bf16 as pairs: a0 b0 a1 b1 ... of kWidth columns.
BOREAL_INLINE Vu interleave(Vh first, Vh second) {
#if defined(__AVX512F__)
  // Spelt out: the compiler converts a half at a time.
  const __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(first));
  const __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(second));
  return reinterpret_cast<Vu>(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
#endif
  return __builtin_convertvector(first, Vu) | (__builtin_convertvector(second, Vu) << 16);
}

BOREAL_INLINE Vh bf16_of(const std::uint16_t* p) {
  return *reinterpret_cast<const VhU*>(p);
}
BOREAL_INLINE Vh narrow(Vf x) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Vh>(_mm512_cvtneps_pbh(x));
#else
  std::uint16_t bits[kWidth];
  store(bits, x);
  return *reinterpret_cast<const VhU*>(bits);
#endif
}
// Two vectors as pairs of bf16: a0 b0 a1 b1 ...
BOREAL_INLINE Vu narrow_pair(Vf first, Vf second) {
#if defined(__AVX512BF16__)
  alignas(64) static constexpr std::uint16_t kOrder[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
  return reinterpret_cast<Vu>(_mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both));
#else
  return interleave(narrow(first), narrow(second));
#endif
}
BOREAL_INLINE Vh bf16_of(const float* p) {
  std::uint16_t bits[kWidth];
  store(bits, load(p));
  return *reinterpret_cast<const VhU*>(bits);
}

// dst[0 .. columns) = pairs of two rows; columns past the end are left alone.
template <class S>
BOREAL_INLINE void pair_rows(const S* first, const S* second, std::int64_t columns,
                             std::uint16_t* dst) {
  std::int64_t j = 0;
  for (; j + kWidth <= columns; j += kWidth)
    *reinterpret_cast<VuU*>(dst + 2 * j) = interleave(bf16_of(first + j), bf16_of(second + j));
  for (; j < columns; ++j) {
    dst[2 * j] = convert<S, std::uint16_t>(first[j]);
    dst[2 * j + 1] = convert<S, std::uint16_t>(second[j]);
  }
}

// Transposition by blocks of kWidth x kWidth words of 32 bits.
// Exchanges the off-diagonal quarters of blocks of 2 * kHalf.
template <int kHalf>
BOREAL_INLINE void turn_stage(Vf (&row)[kWidth]) {
  Vi low;
  Vi high;
  for (int i = 0; i < kWidth; ++i) {
    const bool upper = (i & kHalf) != 0;
    low[i] = upper ? kWidth + i - kHalf : i;
    high[i] = upper ? kWidth + i : i + kHalf;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    if ((i & kHalf) != 0) continue;
    const Vf a = row[i];
    const Vf b = row[i + kHalf];
    row[i] = __builtin_shuffle(a, b, low);
    row[i + kHalf] = __builtin_shuffle(a, b, high);
  }
  if constexpr (kHalf > 1) turn_stage<kHalf / 2>(row);
}

// kWidth words of a row as a panel holds them: one fp32 or a pair of bf16 each.
BOREAL_INLINE Vf words_of(const float* p, const float*) {
  return load(p);
}
BOREAL_INLINE Vf words_of(const std::uint16_t* p, const std::uint16_t*) {
  return reinterpret_cast<Vf>(*reinterpret_cast<const VuU*>(p));
}
BOREAL_INLINE Vf words_of(const float* p, const std::uint16_t*) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_castsi256_si512(reinterpret_cast<__m256i>(rounded_bits(load(p))));
  const auto high = reinterpret_cast<__m256i>(rounded_bits(load(p + kWidth)));
  return reinterpret_cast<Vf>(_mm512_inserti64x4(low, high, 1));
#else
  std::uint16_t bits[2 * kWidth];
  store(bits, load(p));
  store(bits + kWidth, load(p + kWidth));
  return words_of(bits, bits);
#endif
}
BOREAL_INLINE Vf words_of(const std::uint16_t* p, const float*) {
  return load(p);
}

// B = transpose(src): rows of src are columns of the panel. Squares of words first, then what is
// left below or beside them.
template <class S, class T>
void pack_columns(const S* src, std::int64_t ld, std::int64_t k, std::int64_t columns, T* dst) {
  constexpr std::int64_t kStep = kWidth * kPair<T>;  // of k
  const std::int64_t whole_k = k / kStep * kStep;
  const std::int64_t whole_columns = columns / kWidth * kWidth;
  for (std::int64_t i = 0; i < whole_k; i += kStep)
    for (std::int64_t j = 0; j < whole_columns; j += kWidth) {
      Vf block[kWidth];
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) block[r] = words_of(src + (j + r) * ld + i, dst);
      turn_stage<kWidth / 2>(block);
      auto* to = reinterpret_cast<float*>(dst + i * kPanel + j * kPair<T>);
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) store(to + r * kPanel, block[r]);
    }
  for (std::int64_t i = 0; i < k; i += kPair<T>, dst += kPair<T> * kPanel) {
    const std::int64_t here = k - i < kPair<T> ? k - i : kPair<T>;
    for (std::int64_t j = i < whole_k ? whole_columns : 0; j < columns; ++j)
      for (std::int64_t p = 0; p < kPair<T>; ++p)
        dst[j * kPair<T> + p] = p < here ? convert<S, T>(src[j * ld + i + p]) : T{0};
    for (std::int64_t j = columns * kPair<T>; j < kPanel * kPair<T>; ++j) dst[j] = 0;
  }
}

// B = src: rows of src are rows of the panel.
template <class S>
void pack_rows(const S* src, std::int64_t ld, std::int64_t k, std::int64_t columns, float* dst) {
  for (std::int64_t i = 0; i < k; ++i, src += ld, dst += kPanel) {
    over_row(columns,
             [&](std::int64_t c, std::int64_t n) { store_n(dst + c, load_n(src + c, n), n); });
    for (std::int64_t j = columns; j < kPanel; ++j) dst[j] = 0;
  }
}
template <class S>
void pack_rows(const S* src, std::int64_t ld, std::int64_t k, std::int64_t columns,
               std::uint16_t* dst) {
  const S zeros[kPanel] = {};
  for (std::int64_t i = 0; i < k; i += 2, src += 2 * ld, dst += 2 * kPanel) {
    pair_rows(src, i + 1 < k ? src + ld : zeros, columns, dst);
    for (std::int64_t j = 2 * columns; j < 2 * kPanel; ++j) dst[j] = 0;
  }
}

template <class S, class T>
void pack_panel(const S* src, std::int64_t ld, bool transposed, std::int64_t k,
                std::int64_t columns, T* dst) {
  if (transposed)
    pack_columns(src, ld, k, columns, dst);
  else
    pack_rows(src, ld, k, columns, dst);
}

// Rows of the source that are packed into every panel before the next ones are: a row lies in one
// stretch of memory, its pieces in many panels.
constexpr std::int64_t kRowsAtOnce = 64;

template <class S, class T>
void pack_from(const S* src, std::int64_t ld, bool transposed, std::int64_t k, std::int64_t n,
               std::int64_t panel_begin, std::int64_t panel_end, T* dst) {
  const std::int64_t at_once = transposed ? k : kRowsAtOnce;
  for (std::int64_t k0 = 0; k0 < k; k0 += at_once)
    for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
      const std::int64_t column = panel * kPanel;
      const std::int64_t columns = n - column < kPanel ? n - column : kPanel;
      pack_panel(src + (transposed ? column * ld : k0 * ld + column), ld, transposed,
                 k - k0 < at_once ? k - k0 : at_once, columns,
                 dst + (panel * even<T>(k) + k0) * kPanel);
    }
}

template <class T>
void pack(const void* src, bool src_is_f32, std::int64_t ld, bool transposed, std::int64_t k,
          std::int64_t n, std::int64_t panel_begin, std::int64_t panel_end, void* dst) {
  T* to = static_cast<T*>(dst);
  if (src_is_f32)
    pack_from(static_cast<const float*>(src), ld, transposed, k, n, panel_begin, panel_end, to);
  else
    pack_from(static_cast<const std::uint16_t*>(src), ld, transposed, k, n, panel_begin, panel_end,
              to);
}

template <class T>
void transpose(const void* src, std::int64_t lds, std::int64_t rows, std::int64_t begin,
               std::int64_t end, void* dst, std::int64_t ldd) {
  constexpr std::int64_t kTile = 32;
  const T* from = static_cast<const T*>(src);
  T* to = static_cast<T*>(dst);
  for (std::int64_t c0 = begin; c0 < end; c0 += kTile) {
    const std::int64_t c1 = c0 + kTile < end ? c0 + kTile : end;
    for (std::int64_t r0 = 0; r0 < rows; r0 += kTile) {
      const std::int64_t r1 = r0 + kTile < rows ? r0 + kTile : rows;
      for (std::int64_t c = c0; c < c1; ++c)
        for (std::int64_t r = r0; r < r1; ++r) to[c * ldd + r] = from[r * lds + c];
    }
    for (std::int64_t c = c0; c < c1; ++c)
      for (std::int64_t r = rows; r < ldd; ++r) to[c * ldd + r] = T{0};
  }
}

#if defined(BOREAL_TILES)
template <class T>
constexpr std::int64_t kLeftRows = sizeof(T) == 2 ? 1 : kRows;  // tiles load rows
#else
template <class T>
constexpr std::int64_t kLeftRows = kRows;
#endif

// Groups go along rows that lie far apart: the hardware does not foresee what comes next in each.
constexpr std::int64_t kAheadBytes = 192;

// One group of the left side A = transpose(src): columns of src are rows of A; `columns` are left
// from the group's first on.
BOREAL_INLINE void pack_group(const float* src, std::int64_t ld, std::int64_t k,
                              std::int64_t columns, float* dst) {
  for (std::int64_t i = 0; i < k; ++i, src += ld, dst += kRows) {
    __builtin_prefetch(src + kAheadBytes / 4, 0, 3);
    if (columns >= kRows)
      __builtin_memcpy(dst, src, sizeof(float) * kRows);
    else
      for (std::int64_t r = 0; r < kRows; ++r) dst[r] = r < columns ? src[r] : 0;
  }
}
BOREAL_INLINE void pack_group(const std::uint16_t* src, std::int64_t ld, std::int64_t k,
                              std::int64_t columns, std::uint16_t* dst) {
  const std::uint16_t zeros[8] = {};
  for (std::int64_t i = 0; i < k; i += 2, src += 2 * ld, dst += 2 * kRows) {
    const std::uint16_t* second = i + 1 < k ? src + ld : zeros;
    __builtin_prefetch(src + kAheadBytes / 2, 0, 3);
    __builtin_prefetch(second + kAheadBytes / 2, 0, 3);
    if (columns >= 8) {  // so many may be read, and kRows of them count
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(src));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(second));
      _mm_storeu_si128(reinterpret_cast<__m128i_u*>(dst), _mm_unpacklo_epi16(a, b));
      if constexpr (kRows > 4)
        _mm_storel_epi64(reinterpret_cast<__m128i_u*>(dst + 8), _mm_unpackhi_epi16(a, b));
      continue;
    }
    for (std::int64_t r = 0; r < kRows; ++r) {
      dst[2 * r] = r < columns ? src[r] : std::uint16_t{0};
      dst[2 * r + 1] = r < columns ? second[r] : std::uint16_t{0};
    }
  }
}

// Groups [begin, end) of A = transpose(src), src [k][m]; k rows are padded to whole pairs.
template <class T>
void pack_left(const void* src, std::int64_t ld, std::int64_t k, std::int64_t m, std::int64_t begin,
               std::int64_t end, void* dst) {
  const T* from = static_cast<const T*>(src);
  const std::int64_t padded = even<T>(k);
  if constexpr (kLeftRows<T> == 1) {
    transpose<T>(src, ld, k, begin, end, dst, padded);
  } else {
    for (std::int64_t k0 = 0; k0 < k; k0 += kRowsAtOnce)
      for (std::int64_t group = begin; group < end; ++group) {
        const std::int64_t column = group * kRows;
        pack_group(from + k0 * ld + column, ld, k - k0 < kRowsAtOnce ? k - k0 : kRowsAtOnce,
                   m - column, static_cast<T*>(dst) + column * padded + k0 * kRows);
      }
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
