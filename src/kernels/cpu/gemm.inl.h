// Matrix product on packed panels (table.h). One micro-kernel shape a set: R rows x kColumns
// columns held in registers, the sum over k one chain in rising order. With AVX512_BF16 a pair of k
// is one VDPBF16PS, with AMX 32 of k are one instruction on tiles; other sets widen bf16 to fp32.
#pragma once

#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"
#if defined(BOREAL_TILES)
#include "kernels/cpu/tiles.inl.h"
#endif

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

template <int R>
struct Tile {
  Vf at[R][kVectors];
};

template <int R>
BOREAL_INLINE Tile<R> zero_tile() {
  Tile<R> tile;
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) tile.at[r][v] = Vf{};
  return tile;
}

// tile += A[R, k] . B[k, kColumns], fp32; ldb is the distance between the rows of B.
template <int R>
BOREAL_INLINE void multiply(Tile<R>& tile, const float* a, std::int64_t lda, const float* b,
                            std::int64_t ldb, std::int64_t k) {
  for (std::int64_t i = 0; i < k; ++i, b += ldb) {
    Vf bv[kVectors];
    for (int v = 0; v < kVectors; ++v) bv[v] = load(b + v * kWidth);
    for (int r = 0; r < R; ++r) {
      const Vf av = splat(a[r * lda + i]);
      for (int v = 0; v < kVectors; ++v) tile.at[r][v] = fma(av, bv[v], tile.at[r][v]);
    }
  }
}

// The same for bf16 pairs: B is [k / 2][ldb][2].
template <int R>
BOREAL_INLINE void multiply(Tile<R>& tile, const std::uint16_t* a, std::int64_t lda,
                            const std::uint16_t* b, std::int64_t ldb, std::int64_t k) {
  for (std::int64_t i = 0; i < k; i += 2, b += 2 * ldb) {
#if defined(__AVX512BF16__)
    __m512bh bv[kVectors];
    for (int v = 0; v < kVectors; ++v)
      bv[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + 2 * v * kWidth));
    for (int r = 0; r < R; ++r) {
      std::int32_t pair;
      __builtin_memcpy(&pair, a + r * lda + i, 4);
      const auto av = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      for (int v = 0; v < kVectors; ++v) tile.at[r][v] = _mm512_dpbf16_ps(tile.at[r][v], av, bv[v]);
    }
#else
    Vf even[kVectors];
    Vf odd[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const Vu pair = *reinterpret_cast<const VuU*>(b + 2 * v * kWidth);
      even[v] = reinterpret_cast<Vf>(pair << 16);
      odd[v] = reinterpret_cast<Vf>(pair & 0xffff0000U);
    }
    for (int r = 0; r < R; ++r) {
      const Vf a0 = splat(load1(a + r * lda + i));
      const Vf a1 = splat(load1(a + r * lda + i + 1));
      for (int v = 0; v < kVectors; ++v)
        tile.at[r][v] = fma(a1, odd[v], fma(a0, even[v], tile.at[r][v]));
    }
#endif
  }
}

template <class Out, int R>
BOREAL_INLINE void finish(Tile<R>& tile, const GemmArgs& g, std::int64_t row, std::int64_t column) {
  for (int r = 0; r < R; ++r) {
    Out* c = static_cast<Out*>(g.c) + (row + r) * g.ldc + column;
    const Out* residual = static_cast<const Out*>(g.residual);
    if (residual != nullptr) residual += (row + r) * g.ldr + column;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t left = g.n - column - v * kWidth;
      if (left <= 0) break;
      const std::int64_t n = left < kWidth ? left : kWidth;
      Vf x = tile.at[r][v];
      if (g.bias != nullptr) x = x + load_n(g.bias + column + v * kWidth, n);
      if (residual != nullptr) x = x + load_n(residual + v * kWidth, n);
      store_n(c + v * kWidth, x, n);
    }
  }
}

template <class T, int R>
BOREAL_INLINE void tile_product(const GemmArgs& g, std::int64_t row, std::int64_t column) {
  const std::int64_t panel = column / kPanel;
  const std::int64_t inside = column % kPanel;
  const T* a = static_cast<const T*>(g.a) + row * g.lda;
  // A panel is k x 64 elements in both layouts; in the bf16 one a column is a pair wide.
  const T* b =
      static_cast<const T*>(g.b) + panel * g.k * kPanel + inside * (sizeof(T) == 2 ? 2 : 1);
  Tile<R> tile;
  if (g.accumulate) {
    // The sum goes on where it stopped: starting from C keeps the chain, adding C afterwards would
    // not.
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) {
        const std::int64_t at = column + v * kWidth;
        const std::int64_t left = g.n - at;
        tile.at[r][v] = left <= 0 ? Vf{}
                                  : load_n(static_cast<const float*>(g.c) + (row + r) * g.ldc + at,
                                           left < kWidth ? left : kWidth);
      }
  } else {
    tile = zero_tile<R>();
  }
  multiply<R>(tile, a, g.lda, b, kPanel, g.k);
  if (g.c_is_f32)
    finish<float, R>(tile, g, row, column);
  else
    finish<std::uint16_t, R>(tile, g, row, column);
}

template <class T>
void row_block(const GemmArgs& g, std::int64_t row, std::int64_t end, std::int64_t column) {
  for (; row + kRows <= end; row += kRows) tile_product<T, kRows>(g, row, column);
  switch (end - row) {
    case 1: return tile_product<T, 1>(g, row, column);
    case 2: return tile_product<T, 2>(g, row, column);
    case 3: return tile_product<T, 3>(g, row, column);
#if defined(__AVX2__)
    case 4: return tile_product<T, 4>(g, row, column);
    case 5: return tile_product<T, 5>(g, row, column);
#endif
    default: return;
  }
}

#if defined(BOREAL_TILES)
template <class Out>
void finish_panel_row(const GemmArgs& g, std::int64_t row, std::int64_t column, const float* sums) {
  for (std::int64_t j = 0; j < kPanel && column + j < g.n; j += kColumns) {
    Tile<1> tile;
    for (int v = 0; v < kVectors; ++v) tile.at[0][v] = load(sums + j + v * kWidth);
    finish<Out, 1>(tile, g, row, column + j);
  }
}

void gemm_on_tiles(const GemmArgs& g) {
  tile_gemm(g, [&g](std::int64_t row, std::int64_t column, const float* sums) {
    if (g.c_is_f32)
      finish_panel_row<float>(g, row, column, sums);
    else
      finish_panel_row<std::uint16_t>(g, row, column, sums);
  });
}
#endif

template <class T>
void gemm(const GemmArgs& g) {
#if defined(BOREAL_TILES)
  if constexpr (sizeof(T) == 2) return gemm_on_tiles(g);
#endif
  // Rows of A in a block stay in the second-level cache while the panels of B stream past.
  constexpr std::int64_t kBlockBytes = 384 << 10;
  std::int64_t block =
      kBlockBytes / (g.k * static_cast<std::int64_t>(sizeof(T)) + 1) / kRows * kRows;
  block = block < kRows ? kRows : block;
  for (std::int64_t row = 0; row < g.m; row += block) {
    const std::int64_t end = row + block < g.m ? row + block : g.m;
    for (std::int64_t column = 0; column < g.n; column += kColumns)
      row_block<T>(g, row, end, column);
  }
}

// Element (k, n) of B as float.
template <class S>
BOREAL_INLINE float element(const S* src, std::int64_t ld, bool transposed, std::int64_t k,
                            std::int64_t n) {
  return load1(transposed ? src + n * ld + k : src + k * ld + n);
}

template <class S, class T>
BOREAL_INLINE T convert(S x) {
  T y;
  store1(&y, load1(&x));
  return y;
}

template <class S>
void pack_panel(const S* src, std::int64_t ld, bool transposed, std::int64_t k,
                std::int64_t columns, float* dst) {
  for (std::int64_t i = 0; i < k; ++i, dst += kPanel) {
    if (transposed)
      for (std::int64_t j = 0; j < columns; ++j) dst[j] = load1(src + j * ld + i);
    else
      for (std::int64_t j = 0; j < columns; ++j) dst[j] = load1(src + i * ld + j);
    for (std::int64_t j = columns; j < kPanel; ++j) dst[j] = 0;
  }
}

template <class S>
void pack_panel(const S* src, std::int64_t ld, bool transposed, std::int64_t k,
                std::int64_t columns, std::uint16_t* dst) {
  // k is padded to a whole pair with zero.
  for (std::int64_t i = 0; i < k; i += 2, dst += 2 * kPanel) {
    const bool pair = i + 1 < k;
    const S* first = transposed ? src + i : src + i * ld;
    const S* second = transposed ? first + 1 : first + ld;
    const std::int64_t step = transposed ? ld : 1;
    for (std::int64_t j = 0; j < columns; ++j) {
      dst[2 * j] = convert<S, std::uint16_t>(first[j * step]);
      dst[2 * j + 1] = pair ? convert<S, std::uint16_t>(second[j * step]) : std::uint16_t{0};
    }
    for (std::int64_t j = 2 * columns; j < 2 * kPanel; ++j) dst[j] = 0;
  }
}

template <class T>
void pack(const void* src, bool src_is_f32, std::int64_t ld, bool transposed, std::int64_t k,
          std::int64_t n, std::int64_t panel_begin, std::int64_t panel_end, void* dst) {
  const std::int64_t k_padded = sizeof(T) == 2 ? (k + 1) / 2 * 2 : k;
  for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
    const std::int64_t column = panel * kPanel;
    const std::int64_t columns = n - column < kPanel ? n - column : kPanel;
    T* out = static_cast<T*>(dst) + panel * k_padded * kPanel;
    const std::int64_t offset = transposed ? column * ld : column;
    if (src_is_f32)
      pack_panel(static_cast<const float*>(src) + offset, ld, transposed, k, columns, out);
    else
      pack_panel(static_cast<const std::uint16_t*>(src) + offset, ld, transposed, k, columns, out);
  }
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

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
