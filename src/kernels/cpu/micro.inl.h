// The micro-kernel of all products: a tile of R rows x V vectors of columns held in registers, the
// sum over k one chain in rising order. With AVX512_BF16 a pair of k is one VDPBF16PS; other sets
// widen bf16 to fp32.
#pragma once

#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectors = 4;  // of columns in a tile: 6 x 4 accumulators of 32 registers
constexpr int kRows = 6;
#elif defined(__AVX2__)
constexpr int kVectors = 2;  // 6 x 2 of 16
constexpr int kRows = 6;
#else
constexpr int kVectors = 2;  // 4 x 2 of 16, and the product needs a register of its own
constexpr int kRows = 4;
#endif
constexpr std::int64_t kColumns = kVectors * kWidth;
// Up to so many rows of the left side memory sets the pace, not arithmetic.
constexpr std::int64_t kFewRows = 32;

// Elements of k that lie together in a panel.
template <class T>
constexpr std::int64_t kPair = sizeof(T) == 2 ? 2 : 1;

template <class T>
BOREAL_INLINE std::int64_t even(std::int64_t k) {
  return (k + kPair<T> - 1) / kPair<T> * kPair<T>;
}

// Where element (row r, k i) of the left side lies. Rows: row-major. Groups: kRows rows side by
// side, [k / pair][kRows][pair], as pack_left makes them: one stream of memory instead of kRows.
struct Rows {
  std::int64_t ld;
  template <class T>
  BOREAL_INLINE const T* at(const T* a, int r, std::int64_t i) const {
    return a + r * ld + i;
  }
};
struct Groups {
  template <class T>
  BOREAL_INLINE const T* at(const T* a, int r, std::int64_t i) const {
    return a + i * kRows + r * kPair<T>;
  }
};

template <int R, int V = kVectors>
struct Tile {
  Vf at[R][V];
};

template <int R, int V = kVectors>
BOREAL_INLINE Tile<R, V> zero_tile() {
  Tile<R, V> tile;
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) tile.at[r][v] = Vf{};
  return tile;
}

// What a product asks memory for while it goes on, called once a row of B.
// What comes 8 rows later: the hardware's own prefetch stops at the end of a page and starts late.
template <int V>
struct FetchSoon {
  BOREAL_INLINE void row([[maybe_unused]] const float* b, [[maybe_unused]] std::int64_t ldb) {
#if defined(__AVX512F__)
    for (int v = 0; v < V; ++v) __builtin_prefetch(b + 8 * ldb + v * kWidth, 0, 3);
#endif
  }
  BOREAL_INLINE void row([[maybe_unused]] const std::uint16_t* b,
                         [[maybe_unused]] std::int64_t ldb) {
#if defined(__AVX512BF16__)
    for (int v = 0; v < V; ++v) __builtin_prefetch(b + (8 * ldb + v * kWidth) * 2, 0, 3);
#endif
  }
};
// The same, and some lines from `at` on, `step` bytes a row, for the second-level cache.
template <int V>
struct FetchBehind {
  const char* at;
  std::int64_t step;
  template <class T>
  BOREAL_INLINE void row(const T* b, std::int64_t ldb) {
    FetchSoon<V>{}.row(b, ldb);
    __builtin_prefetch(at, 0, 2);
    at += step;
  }
};
// The next kLines lines of memory from `at` on.
template <int kLines>
struct FetchLines {
  const char* at;
  template <class T>
  BOREAL_INLINE void row(const T*, std::int64_t) {
    for (int i = 0; i < kLines; ++i) __builtin_prefetch(at + 64 * i, 0, 3);
    at += 64 * kLines;
  }
};

// tile += A[R, k] . B[k, V vectors], fp32; ldb is the distance between the rows of B.
template <int R, int V, class Layout, class Fetch = FetchSoon<V>>
BOREAL_INLINE void multiply(Tile<R, V>& tile, Layout layout, const float* a, const float* b,
                            std::int64_t ldb, std::int64_t k, Fetch fetch = {}) {
  for (std::int64_t i = 0; i < k; ++i, b += ldb) {
    fetch.row(b, ldb);
    Vf bv[V];
    for (int v = 0; v < V; ++v) bv[v] = load(b + v * kWidth);
    for (int r = 0; r < R; ++r) {
      const Vf av = splat(*layout.at(a, r, i));
      for (int v = 0; v < V; ++v) tile.at[r][v] = fma(av, bv[v], tile.at[r][v]);
    }
  }
}

// The same for bf16 pairs: B is [k / 2][ldb][2].
template <int R, int V, class Layout, class Fetch = FetchSoon<V>>
BOREAL_INLINE void multiply(Tile<R, V>& tile, Layout layout, const std::uint16_t* a,
                            const std::uint16_t* b, std::int64_t ldb, std::int64_t k,
                            Fetch fetch = {}) {
  for (std::int64_t i = 0; i < k; i += 2, b += 2 * ldb) {
    fetch.row(b, ldb);
#if defined(__AVX512BF16__)
    __m512bh bv[V];
    for (int v = 0; v < V; ++v)
      bv[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + 2 * v * kWidth));
    for (int r = 0; r < R; ++r) {
      std::int32_t pair;
      __builtin_memcpy(&pair, layout.at(a, r, i), 4);
      const auto av = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      for (int v = 0; v < V; ++v) tile.at[r][v] = _mm512_dpbf16_ps(tile.at[r][v], av, bv[v]);
    }
#else
    Vf low[V];
    Vf high[V];
    for (int v = 0; v < V; ++v) {
      const Vu pair = *reinterpret_cast<const VuU*>(b + 2 * v * kWidth);
      low[v] = reinterpret_cast<Vf>(pair << 16);
      high[v] = reinterpret_cast<Vf>(pair & 0xffff0000U);
    }
    for (int r = 0; r < R; ++r) {
      const Vf a0 = splat(load1(layout.at(a, r, i)));
      const Vf a1 = splat(load1(layout.at(a, r, i) + 1));
      for (int v = 0; v < V; ++v) tile.at[r][v] = fma(a1, high[v], fma(a0, low[v], tile.at[r][v]));
    }
#endif
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
