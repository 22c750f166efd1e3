// Matrix product on packed panels (table.h), built of micro.inl.h's tiles; with AMX 32 of k are one
// instruction on tiles of its own (tiles.inl.h).
//
// Blocks: rows of A that stay in the second-level cache while the panels of B stream past, and runs
// of k short enough that a panel stays there as well. Between runs the sums wait in fp32, so the
// chain over k is the same however it is cut.
#pragma once

#include "kernels/cpu/micro.inl.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"
#if defined(BOREAL_TILES)
#include "kernels/cpu/tiles.inl.h"
#endif

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

template <class Out, int R>
BOREAL_INLINE void finish(Tile<R>& tile, const GemmArgs& g, std::int64_t row, std::int64_t column) {
  for (int r = 0; r < R && row + r < g.m; ++r) {
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

// One run of k of one panel's columns, for a block of rows. `waiting` holds the block's sums
// between runs, kColumns floats a row; null: they wait in C.
struct Run {
  std::int64_t row = 0, end = 0;  // of the block
  std::int64_t column = 0;
  std::int64_t k = 0, k_end = 0;
  float* waiting = nullptr;
};

template <class Out, int R>
BOREAL_INLINE Tile<R> first_sums(const GemmArgs& g, const Run& run, std::int64_t row) {
  if (run.k > 0 && run.waiting != nullptr) {
    Tile<R> tile;
    const float* from = run.waiting + (row - run.row) * kColumns;
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) tile.at[r][v] = load(from + r * kColumns + v * kWidth);
    return tile;
  }
  Tile<R> tile = zero_tile<R>();
  if (!g.accumulate && run.k == 0) return tile;
  // The sum goes on where it stopped: starting from C keeps the chain, adding C afterwards would
  // not.
  const std::int64_t rows = g.m - row < R ? g.m - row : R;
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = run.column + v * kWidth;
      const std::int64_t left = g.n - at;
      if (left > 0)
        tile.at[r][v] = load_n(static_cast<const float*>(g.c) + (row + r) * g.ldc + at,
                               left < kWidth ? left : kWidth);
    }
  return tile;
}

BOREAL_INLINE std::int64_t start_of(Rows, const GemmArgs& g, std::int64_t row, std::int64_t k) {
  return row * g.lda + k;
}
// Groups lie behind each other, each kRows x g.k.
BOREAL_INLINE std::int64_t start_of(Groups, const GemmArgs& g, std::int64_t row, std::int64_t k) {
  return row * g.k + k * kRows;
}

// C's lines of a tile, early: they are far away, and written after k steps.
template <int R>
BOREAL_INLINE void fetch_c(const GemmArgs& g, std::int64_t row, std::int64_t column) {
  const std::int64_t size = g.c_is_f32 ? 4 : 2;
  for (int r = 0; r < R; ++r) {
    const char* c = static_cast<const char*>(g.c) + ((row + r) * g.ldc + column) * size;
    for (std::int64_t at = 0; at < kColumns * size; at += 64) __builtin_prefetch(c + at, 1, 3);
  }
}

template <class T, int R, class Layout, class Fetch = FetchSoon<kVectors>>
BOREAL_INLINE void tile_product(const GemmArgs& g, const Run& run, std::int64_t row, Layout layout,
                                Fetch fetch = {}) {
  const T* a = static_cast<const T*>(g.a) + start_of(layout, g, row, run.k);
  // A panel is k x 64 elements in both layouts; in the bf16 one a column is a pair wide.
  const T* b = static_cast<const T*>(g.b) + run.column / kPanel * g.k * kPanel + run.k * kPanel +
               run.column % kPanel * kPair<T>;
  if (run.k_end == g.k) fetch_c<R>(g, row, run.column);
  // A sum that goes on starts with a read of C: the next tile's comes while this one is computed.
  if (run.k == 0 ? g.accumulate : run.waiting == nullptr) fetch_c<R>(g, row + R, run.column);
  Tile<R> tile = first_sums<T, R>(g, run, row);
  multiply(tile, layout, a, b, kPanel, run.k_end - run.k, fetch);
  if (run.k_end < g.k && run.waiting != nullptr) {
    float* to = run.waiting + (row - run.row) * kColumns;
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) store(to + r * kColumns + v * kWidth, tile.at[r][v]);
    return;
  }
  if (g.c_is_f32)
    finish<float, R>(tile, g, row, run.column);
  else
    finish<std::uint16_t, R>(tile, g, row, run.column);
}

// A tile of any height up to kRows.
template <class T, class Fetch>
BOREAL_INLINE void low_tile(const GemmArgs& g, const Run& run, std::int64_t row, std::int64_t rows,
                            Fetch fetch) {
  const Rows layout{g.lda};
  switch (rows) {
    case 1: return tile_product<T, 1>(g, run, row, layout, fetch);
    case 2: return tile_product<T, 2>(g, run, row, layout, fetch);
    case 3: return tile_product<T, 3>(g, run, row, layout, fetch);
    case 4: return tile_product<T, 4>(g, run, row, layout, fetch);
#if defined(__AVX2__)
    case 5: return tile_product<T, 5>(g, run, row, layout, fetch);
    case 6: return tile_product<T, 6>(g, run, row, layout, fetch);
#endif
    default: return;
  }
}

// While the tiles of a block pass over one run of a panel, what lies behind it comes into the
// second-level cache: each tile asks for a share.
template <class T>
BOREAL_INLINE void far_tiles(const GemmArgs& g, const Run& run, std::int64_t& row) {
  const std::int64_t tiles = (run.end - run.row + kRows - 1) / kRows;
  const std::int64_t steps = (run.k_end - run.k) / kPair<T>;
  const std::int64_t next = run.waiting != nullptr ? run.column / kPanel * g.k + run.k_end
                                                   : (run.column / kPanel + 1) * g.k + run.k;
  FetchBehind<kVectors> behind{
      reinterpret_cast<const char*>(static_cast<const T*>(g.b) + next * kPanel),
      (kPanel * kPair<T> * static_cast<std::int64_t>(sizeof(T)) + tiles - 1) / tiles};
  for (; row + kRows <= run.end; row += kRows) {
    tile_product<T, kRows>(g, run, row, Rows{g.lda}, behind);
    behind.at += behind.step * steps;
  }
}

template <class T>
void row_block(const GemmArgs& g, const Run& run) {
  std::int64_t row = run.row;
  if (g.a_in_groups) {
    for (; row < run.end; row += kRows) tile_product<T, kRows>(g, run, row, Groups{});
    return;
  }
  const Rows rows{g.lda};
  if (g.b_is_far) far_tiles<T>(g, run, row);
  for (; row + kRows <= run.end; row += kRows) tile_product<T, kRows>(g, run, row, rows);
  low_tile<T>(g, run, row, run.end - row, FetchSoon<kVectors>{});
}

// A piece of a panel is multiplied by all rows while it lies in the first-level cache; meanwhile
// the next piece, which lies behind it, is on its way: each block of rows asks for a share of it.
template <class T>
void few_rows(const GemmArgs& g) {
  constexpr std::int64_t kPiece = (12 << 10) / kPanel / static_cast<std::int64_t>(sizeof(T));
  constexpr std::int64_t kLineRows = 4;  // lines of a panel's row, of pairs where there are any
  static_assert(kPanel * kPair<T> * sizeof(T) == kLineRows * 64);
  constexpr std::int64_t kStrips = kPanel / kColumns;
  // Blocks of nearly equal height: 8 rows are 4 and 4, not 6 and 2.
  const std::int64_t blocks = (g.m + kRows - 1) / kRows;
  const std::int64_t passes = blocks * kStrips;
  alignas(64) float waiting[kStrips * kFewRows * kColumns];
  for (std::int64_t panel = 0; panel < g.n; panel += kPanel) {
    Run run;
    for (run.k = 0; run.k < g.k || run.k == 0; run.k = run.k_end) {
      run.k_end = run.k + kPiece < g.k ? run.k + kPiece : g.k;
      const char* next = reinterpret_cast<const char*>(static_cast<const T*>(g.b) + panel * g.k +
                                                       run.k_end * kPanel);
      for (std::int64_t pass = 0; pass < passes; ++pass) {
        const std::int64_t block = pass % blocks;
        run.row = g.m * block / blocks;
        run.end = g.m * (block + 1) / blocks;
        run.column = panel + pass / blocks * kColumns;
        if (run.column >= g.n) break;
        run.waiting = waiting + (pass / blocks * kFewRows + run.row) * kColumns;
        const std::int64_t rows_of_b = (run.k_end - run.k) / kPair<T>;
        if (passes == 1)
          low_tile<T>(g, run, run.row, run.end - run.row, FetchLines<4>{next});
        else if (passes < kLineRows)
          low_tile<T>(g, run, run.row, run.end - run.row,
                      FetchLines<2>{next + pass * rows_of_b * 128});
        else
          low_tile<T>(g, run, run.row, run.end - run.row,
                      FetchLines<1>{next + pass * rows_of_b * 64});
      }
      if (run.k_end >= g.k) break;
    }
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

// `rows` in blocks of nearly equal height, at most `most`: a low last one would pass over all of B
// for a few rows.
BOREAL_INLINE std::int64_t block_height(std::int64_t rows, std::int64_t most) {
  const std::int64_t blocks = (rows + most - 1) / most;
  return blocks > 1 ? ((rows + blocks - 1) / blocks + kRows - 1) / kRows * kRows : most;
}

// Few rows and a long sum: run after run of k over all columns, so that the run's part of A stays
// in the second-level cache; the sums wait in C.
template <class T>
void long_sum(const GemmArgs& g) {
  constexpr std::int64_t kBlockBytes = 384 << 10;  // of A
  constexpr std::int64_t kMostRows = 264;
  const std::int64_t block = block_height(g.m, kMostRows);
  const std::int64_t height = g.m < block ? (g.m + kRows - 1) / kRows * kRows : block;
  const std::int64_t k_run = kBlockBytes / (height * std::int64_t{sizeof(T)}) / 32 * 32;
  for (std::int64_t row = 0; row < g.m; row += block) {
    Run run{.row = row, .end = row + block < g.m ? row + block : g.m};
    for (; run.k < g.k; run.k = run.k_end) {
      run.k_end = run.k + k_run < g.k ? run.k + k_run : g.k;
      for (run.column = 0; run.column < g.n; run.column += kColumns) row_block<T>(g, run);
    }
  }
}

template <class T>
void gemm(const GemmArgs& g) {
#if defined(BOREAL_TILES)
  if constexpr (sizeof(T) == 2) return gemm_on_tiles(g);
#endif
  if (g.m <= kFewRows && !g.a_in_groups && (g.m > kRows || kColumns < kPanel))
    return few_rows<T>(g);
  if (g.long_sum) return long_sum<T>(g);
  constexpr std::int64_t kRowsBytes = 384 << 10;  // of a block of A
  constexpr std::int64_t kPanelBytes = 384 << 10;
  constexpr std::int64_t kMostRows = 252;
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t runs = (g.k * kPanel * kSize + kPanelBytes - 1) / kPanelBytes;
  const std::int64_t k_run = runs < 2 ? g.k : even<T>((g.k + runs - 1) / runs);
  std::int64_t block = kRowsBytes / (k_run * kSize + 1) / kRows * kRows;
  block = block_height(g.m, block < kRows ? kRows : block > kMostRows ? kMostRows : block);
  alignas(64) float waiting[kMostRows * kColumns];
  for (std::int64_t row = 0; row < g.m; row += block) {
    Run run{.row = row, .end = row + block < g.m ? row + block : g.m, .waiting = waiting};
    for (run.column = 0; run.column < g.n; run.column += kColumns)
      for (run.k = 0; run.k < g.k || run.k == 0; run.k = run.k_end) {
        run.k_end = run.k + k_run < g.k ? run.k + k_run : g.k;
        row_block<T>(g, run);
        if (run.k_end >= g.k) break;
      }
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
