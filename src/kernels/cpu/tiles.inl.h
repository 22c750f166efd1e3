// bf16 matrix product on AMX tiles: two tiles of 16 rows by two of 16 columns, 32 of k at a time.
// TDPBF16PS adds the even and the odd products of such a block in two chains, and their sum to C:
// bits depend on k alone, as on the other sets, so a row's do not depend on its neighbours. With
// BOREAL_EMULATE_AMX the tiles are arrays and the instructions loops, to test the code around them
// where there are none. Source: Intel 64 and IA-32 Architectures Software Developer's Manual,
// volume 2, TILELOADD, TDPBF16PS; volume 1, chapter 18 (tile configuration).
#pragma once

#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

constexpr std::int64_t kTileRows = 16;
constexpr std::int64_t kTileK = 32;  // bf16 values in a row of 64 bytes
constexpr std::int64_t kTileBytes = 64;

// Memory operand of LDTILECFG.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes_of_row[16] = {};
  std::uint8_t rows[16] = {};
};

#if defined(BOREAL_EMULATE_AMX)

struct EmulatedTiles {
  TileConfig config;
  alignas(64) unsigned char at[8][kTileRows][kTileBytes];
};
thread_local EmulatedTiles emulated_tiles;

template <int T>
void tile_zero() {
  __builtin_memset(emulated_tiles.at[T], 0, sizeof emulated_tiles.at[T]);
}

template <int T>
void tile_load(const void* from, std::int64_t stride) {
  tile_zero<T>();
  for (int r = 0; r < emulated_tiles.config.rows[T]; ++r)
    __builtin_memcpy(emulated_tiles.at[T][r], static_cast<const unsigned char*>(from) + r * stride,
                     emulated_tiles.config.bytes_of_row[T]);
}

template <int T>
void tile_store(void* to, std::int64_t stride) {
  for (int r = 0; r < emulated_tiles.config.rows[T]; ++r)
    __builtin_memcpy(static_cast<unsigned char*>(to) + r * stride, emulated_tiles.at[T][r],
                     emulated_tiles.config.bytes_of_row[T]);
}

template <int C, int A, int B>
void tile_multiply() {
  const TileConfig& config = emulated_tiles.config;
  for (int m = 0; m < config.rows[C]; ++m)
    for (int n = 0; n < config.bytes_of_row[C] / 4; ++n) {
      float even = 0;
      float odd = 0;
      std::uint16_t a[2];
      std::uint16_t b[2];
      for (int k = 0; k < config.bytes_of_row[A] / 4; ++k) {
        __builtin_memcpy(a, emulated_tiles.at[A][m] + 4 * k, 4);
        __builtin_memcpy(b, emulated_tiles.at[B][k] + 4 * n, 4);
        even = __builtin_fmaf(load1(a), load1(b), even);
        odd = __builtin_fmaf(load1(a + 1), load1(b + 1), odd);
      }
      float c = 0;
      __builtin_memcpy(&c, emulated_tiles.at[C][m] + 4 * n, 4);
      c += even + odd;
      __builtin_memcpy(emulated_tiles.at[C][m] + 4 * n, &c, 4);
    }
}

inline void tile_configure(const TileConfig& config) {
  emulated_tiles.config = config;
}
inline void tile_release() {}

#else

// The intrinsics want literal tile numbers; "memory" because the compiler does not see the access.
template <int T>
BOREAL_INLINE void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int T>
BOREAL_INLINE void tile_load(const void* from, std::int64_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(T), "r"(from), "r"(stride) : "memory");
}
template <int T>
BOREAL_INLINE void tile_store(void* to, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(T), "r"(to), "r"(stride) : "memory");
}
template <int C, int A, int B>
BOREAL_INLINE void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}
BOREAL_INLINE void tile_configure(const TileConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
}
BOREAL_INLINE void tile_release() {
  asm volatile("tilerelease" : : : "memory");
}

#endif

// Tiles 0..3 are C (rows x columns of tiles), 4 and 5 A, 6 and 7 B. `rows` of C in all, at most 32.
inline TileConfig tile_shapes(std::int64_t rows) {
  const auto first = static_cast<std::uint8_t>(rows < kTileRows ? rows : kTileRows);
  const auto second = static_cast<std::uint8_t>(rows - first);
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    const bool lower = tile == 2 || tile == 3 || tile == 5;
    config.rows[tile] = tile > 5 ? std::uint8_t{kTileRows} : lower ? second : first;
    config.bytes_of_row[tile] = config.rows[tile] > 0 ? kTileBytes : 0;
  }
  return config;
}

// C's tiles += 32 of k. a: [rows][>= 32], b: [16][>= 32 pairs]; strides in bytes.
template <bool kTwo>
BOREAL_INLINE void multiply_tiles(const std::uint16_t* a, std::int64_t a_stride,
                                  const std::uint16_t* b, std::int64_t b_stride) {
  tile_load<4>(a, a_stride);
  tile_load<6>(b, b_stride);
  tile_multiply<0, 4, 6>();
  tile_load<7>(b + 2 * kTileRows, b_stride);
  tile_multiply<1, 4, 7>();
  if constexpr (kTwo) {
    tile_load<5>(a + kTileRows * a_stride / 2, a_stride);
    tile_multiply<2, 5, 6>();
    tile_multiply<3, 5, 7>();
  }
}

// The rest of k, fewer than 32, through zero-padded copies: zeros add nothing to either chain.
template <bool kTwo>
void multiply_rest(const std::uint16_t* a, std::int64_t lda, std::int64_t rows,
                   const std::uint16_t* b, std::int64_t k) {
  alignas(64) std::uint16_t left[2 * kTileRows * kTileK] = {};
  alignas(64) std::uint16_t right[kTileRows * 4 * kTileRows] = {};
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < k; ++i) left[r * kTileK + i] = a[r * lda + i];
  for (std::int64_t i = 0; i < k / 2; ++i)
    for (std::int64_t j = 0; j < 4 * kTileRows; ++j)
      right[i * 4 * kTileRows + j] = b[i * 2 * kPanel + j];
  multiply_tiles<kTwo>(left, kTileBytes, right, 2 * kTileBytes);
}

// c[rows][32 of 64 columns] (+)= A . B; c in memory, 64 floats a row.
template <bool kTwo>
void half_panel(const std::uint16_t* a, std::int64_t lda, std::int64_t rows, const std::uint16_t* b,
                std::int64_t k, float* c) {
  constexpr std::int64_t kStride = kPanel * sizeof(float);
  tile_load<0>(c, kStride);
  tile_load<1>(c + kTileRows, kStride);
  if constexpr (kTwo) {
    tile_load<2>(c + kTileRows * kPanel, kStride);
    tile_load<3>(c + kTileRows * kPanel + kTileRows, kStride);
  }
  std::int64_t i = 0;
  for (; i + kTileK <= k; i += kTileK)
    multiply_tiles<kTwo>(a + i, 2 * lda, b + i * kPanel, 4 * kPanel);
  if (i < k) multiply_rest<kTwo>(a + i, lda, rows, b + i * kPanel, k - i);
  tile_store<0>(c, kStride);
  tile_store<1>(c + kTileRows, kStride);
  if constexpr (kTwo) {
    tile_store<2>(c + kTileRows * kPanel, kStride);
    tile_store<3>(c + kTileRows * kPanel + kTileRows, kStride);
  }
}

// finish(row, column, sums): what becomes of 64 sums of a row of C.
template <class Finish>
void tile_rows(const GemmArgs& g, std::int64_t row, std::int64_t rows, const Finish& finish) {
  alignas(64) float c[2 * kTileRows * kPanel];
  const std::uint16_t* a = static_cast<const std::uint16_t*>(g.a) + row * g.lda;
  for (std::int64_t column = 0; column < g.n; column += kPanel) {
    const std::uint16_t* b = static_cast<const std::uint16_t*>(g.b) + column * g.k;
    const std::int64_t columns = g.n - column < kPanel ? g.n - column : kPanel;
    for (std::int64_t i = 0; i < rows * kPanel; ++i) c[i] = 0;
    for (std::int64_t r = 0; g.accumulate && r < rows; ++r)
      for (std::int64_t j = 0; j < columns; ++j)
        c[r * kPanel + j] = static_cast<const float*>(g.c)[(row + r) * g.ldc + column + j];
    for (std::int64_t half = 0; half < columns; half += kPanel / 2) {
      if (rows > kTileRows)
        half_panel<true>(a, g.lda, rows, b + 2 * half, g.k, c + half);
      else
        half_panel<false>(a, g.lda, rows, b + 2 * half, g.k, c + half);
    }
    for (std::int64_t r = 0; r < rows; ++r) finish(row + r, column, c + r * kPanel);
  }
}

template <class Finish>
void tile_gemm(const GemmArgs& g, const Finish& finish) {
  std::int64_t shaped = 0;
  for (std::int64_t row = 0; row < g.m; row += 2 * kTileRows) {
    const std::int64_t rows = g.m - row < 2 * kTileRows ? g.m - row : 2 * kTileRows;
    if (rows != shaped) tile_configure(tile_shapes(rows));
    shaped = rows;
    tile_rows(g, row, rows, finish);
  }
  tile_release();
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
