// Causal attention of one document and one kv head, forward and backward, without a T x T matrix:
// tiles of 64 keys with an online softmax (Milakov & Gimelshein 2018; Dao et al., "FlashAttention",
// 2022), in fp32 whatever the storage type. Tiles start at the document's first key and every query
// goes through them in the same order by itself, so its bits do not depend on where the document
// stands, on its neighbours, or on whether it is computed whole or one query at a time.
#pragma once

#include "kernels/cpu/gemm.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

constexpr float kMinusInfinity = -__builtin_huge_valf();

// C[rows, kPanel * n64] (+)= A[rows, k] . B[k, ...], all fp32 row-major, columns a multiple of 64.
BOREAL_INLINE void small_gemm(const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                              float* c, std::int64_t ldc, std::int64_t rows, std::int64_t columns,
                              std::int64_t k, bool accumulate) {
  const auto part = [&]<int R>(std::int64_t row, std::int64_t column) {
    Tile<R> tile;
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v)
        tile.at[r][v] = accumulate ? load(c + (row + r) * ldc + column + v * kWidth) : Vf{};
    multiply<R>(tile, a + row * lda, lda, b + column, ldb, k);
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v)
        store(c + (row + r) * ldc + column + v * kWidth, tile.at[r][v]);
  };
  for (std::int64_t column = 0; column < columns; column += kColumns) {
    std::int64_t row = 0;
    for (; row + kRows <= rows; row += kRows) part.template operator()<kRows>(row, column);
    for (; row + 2 <= rows; row += 2) part.template operator()<2>(row, column);
    for (; row < rows; ++row) part.template operator()<1>(row, column);
  }
}

// rows x dim of any type -> fp32 [rows][dp], zero padded on the right.
template <class T>
BOREAL_INLINE void widen(const T* src, std::int64_t ld, std::int64_t rows, std::int64_t dim,
                         std::int64_t dp, float* dst) {
  for (std::int64_t r = 0; r < rows; ++r, src += ld, dst += dp) {
    over_row(dim, [&](std::int64_t c, std::int64_t n) { store_n(dst + c, load_n(src + c, n), n); });
    for (std::int64_t c = dim; c < dp; ++c) dst[c] = 0;
  }
}

template <class T>
BOREAL_INLINE void narrow(const float* src, std::int64_t dp, std::int64_t rows, std::int64_t dim,
                          T* dst, std::int64_t ld) {
  for (std::int64_t r = 0; r < rows; ++r, src += dp, dst += ld)
    over_row(dim, [&](std::int64_t c, std::int64_t n) { store_n(dst + c, load_n(src + c, n), n); });
}

// Keys of one tile as columns: dst[dim][64], missing keys zero.
template <class T>
BOREAL_INLINE void transpose_tile(const T* src, std::int64_t ld, std::int64_t keys,
                                  std::int64_t dim, float* dst) {
  for (std::int64_t d = 0; d < dim; ++d) {
    for (std::int64_t j = 0; j < keys; ++j) dst[d * kPanel + j] = load1(src + j * ld + d);
    for (std::int64_t j = keys; j < kPanel; ++j) dst[d * kPanel + j] = 0;
  }
}

BOREAL_INLINE std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

// One row of scores against one tile of keys: weights in place, running maximum and sum, and the
// output so far rescaled.
BOREAL_INLINE void online_softmax(float* score, std::int64_t visible, float scale, float& max,
                                  float& sum, float* out, std::int64_t dp) {
  for (std::int64_t j = visible; j < kPanel; ++j) score[j] = kMinusInfinity;
  Vf best = splat(kMinusInfinity);
  for (std::int64_t j = 0; j < kPanel; j += kWidth) {
    const Vf s = load(score + j) * scale;
    store(score + j, s);
    best = vmax(s, best);
  }
  const float tile_max = max_lanes(best);
  const float next = tile_max > max ? tile_max : max;
  Vf lanes{};
  for (std::int64_t j = 0; j < kPanel; j += kWidth) {
    const Vf p = exp(load(score + j) - next);
    store(score + j, p);
    lanes = lanes + p;
  }
  if (next > max) {
    const float keep = max == kMinusInfinity ? 0.0F : exp(splat(max - next))[0];
    sum *= keep;
    for (std::int64_t c = 0; c < dp; c += kWidth) store(out + c, load(out + c) * keep);
    max = next;
  }
  sum += sum_lanes(lanes);
}

template <class T>
void attention_forward(const AttentionArgs& g) {
  const std::int64_t dim = g.head_dim;
  const std::int64_t dp = padded_dim(dim);
  const std::int64_t tiles = (g.keys + kPanel - 1) / kPanel;
  float* keys = g.scratch;                      // [tiles][dim][64]
  float* values = keys + tiles * kPanel * dp;   // [tiles * 64][dp]
  float* query = values + tiles * kPanel * dp;  // [64][dp]
  float* out = query + kPanel * dp;             // [64][dp]
  float* score = out + kPanel * dp;             // [64][64]
  float* max = score + kPanel * kPanel;
  float* sum = max + kPanel;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t n = least(kPanel, g.keys - t * kPanel);
    transpose_tile(static_cast<const T*>(g.k) + t * kPanel * g.ldk, g.ldk, n, dim,
                   keys + t * kPanel * dp);
  }
  widen(static_cast<const T*>(g.v), g.ldv, g.keys, dim, dp, values);
  for (std::int64_t i = g.keys * dp; i < tiles * kPanel * dp; ++i) values[i] = 0;

  for (std::int64_t h = 0; h < g.heads_per_kv; ++h) {
    for (std::int64_t q0 = 0; q0 < g.queries; q0 += kPanel) {
      const std::int64_t rows = least(kPanel, g.queries - q0);
      widen(static_cast<const T*>(g.q) + q0 * g.ldq + h * dim, g.ldq, rows, dim, dp, query);
      for (std::int64_t r = 0; r < rows; ++r) {
        max[r] = kMinusInfinity;
        sum[r] = 0;
      }
      for (std::int64_t i = 0; i < rows * dp; ++i) out[i] = 0;
      const std::int64_t last = g.query_begin + q0 + rows - 1;  // key position of the last query
      for (std::int64_t t = 0; t * kPanel <= last; ++t) {
        // Queries before the tile see none of it: their sums must not even be rescaled.
        const std::int64_t skip_to = t * kPanel - g.query_begin - q0;
        const std::int64_t first = skip_to > 0 ? skip_to : 0;
        small_gemm(query + first * dp, dp, keys + t * kPanel * dp, kPanel, score + first * kPanel,
                   kPanel, rows - first, kPanel, dim, false);
        for (std::int64_t r = first; r < rows; ++r) {
          const std::int64_t visible = least(kPanel, g.query_begin + q0 + r + 1 - t * kPanel);
          online_softmax(score + r * kPanel, visible, g.scale, max[r], sum[r], out + r * dp, dp);
        }
        small_gemm(score + first * kPanel, kPanel, values + t * kPanel * dp, dp, out + first * dp,
                   dp, rows - first, dp, least(kPanel, g.keys - t * kPanel), true);
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        const float inverse = 1.0F / sum[r];
        for (std::int64_t c = 0; c < dp; c += kWidth)
          store(out + r * dp + c, load(out + r * dp + c) * inverse);
        if (g.lse != nullptr) g.lse[h * g.lse_stride + q0 + r] = max[r] + __builtin_logf(sum[r]);
      }
      narrow(out, dp, rows, dim, static_cast<T*>(g.o) + q0 * g.ldo + h * dim, g.ldo);
    }
  }
}

// P and dS of one tile of 64 queries and 64 keys. score holds Q.K, dp_ holds dO.V; on return P and
// dS.
BOREAL_INLINE void softmax_backward_tile(float* score, float* d_score, const float* lse,
                                         const float* delta, std::int64_t rows,
                                         std::int64_t query_offset, float scale) {
  for (std::int64_t r = 0; r < rows; ++r, score += kPanel, d_score += kPanel) {
    const std::int64_t visible = query_offset + r + 1;
    for (std::int64_t j = 0; j < kPanel; j += kWidth) {
      const Vf p = exp(load(score + j) * scale - lse[r]);
      store(score + j, p);
    }
    for (std::int64_t j = visible > 0 ? visible : 0; j < kPanel; ++j) score[j] = 0;
    for (std::int64_t j = 0; j < kPanel; j += kWidth) {
      const Vf ds = load(score + j) * (load(d_score + j) - delta[r]) * scale;
      store(d_score + j, ds);
    }
  }
}

// dst[columns][rows] of a 64 x 64 tile.
BOREAL_INLINE void transpose_part(const float* src, std::int64_t rows, std::int64_t columns,
                                  float* dst) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) dst[c * kPanel + r] = src[r * kPanel + c];
}

// Where attention_backward keeps its operands, all fp32; rows are padded to whole tiles.
struct BackwardMemory {
  BackwardMemory(float* memory, std::int64_t area, std::int64_t padded)
      : keys(memory),
        keys_t(keys + area),
        values_t(keys_t + area),
        query(values_t + area),
        d_out(query + area),
        dk(d_out + area),
        dv(dk + area),
        delta(dv + area),
        score(delta + padded),
        d_score(score + kPanel * kPanel),
        score_t(d_score + kPanel * kPanel),
        dq_tile(score_t + kPanel * kPanel) {}

  float* keys;      // [padded][dp]
  float* keys_t;    // tiles of [dim][64]
  float* values_t;  // tiles of [dim][64]
  float* query;     // [padded][dp] of one head
  float* d_out;     // [padded][dp] of one head
  float* dk;        // [padded][dp], over all heads of the group
  float* dv;
  float* delta;  // [padded], row sums of dO * O
  float* score;  // [64][64]
  float* d_score;
  float* score_t;
  float* dq_tile;
};

template <class T>
void load_keys(const AttentionArgs& g, std::int64_t dp, std::int64_t area, BackwardMemory& m) {
  widen(static_cast<const T*>(g.k), g.ldk, g.keys, g.head_dim, dp, m.keys);
  for (std::int64_t i = g.keys * dp; i < area; ++i) m.keys[i] = 0;
  for (std::int64_t k0 = 0; k0 < g.keys; k0 += kPanel) {
    const std::int64_t count = least(kPanel, g.keys - k0);
    transpose_tile(static_cast<const T*>(g.k) + k0 * g.ldk, g.ldk, count, g.head_dim,
                   m.keys_t + k0 * dp);
    transpose_tile(static_cast<const T*>(g.v) + k0 * g.ldv, g.ldv, count, g.head_dim,
                   m.values_t + k0 * dp);
  }
  for (std::int64_t i = 0; i < area; ++i) m.dk[i] = m.dv[i] = 0;
}

template <class T>
void load_head(const AttentionArgs& g, std::int64_t h, std::int64_t dp, std::int64_t area,
               BackwardMemory& m) {
  const std::int64_t dim = g.head_dim;
  widen(static_cast<const T*>(g.q) + h * dim, g.ldq, g.keys, dim, dp, m.query);
  widen(static_cast<const T*>(g.d_o) + h * dim, g.ldo, g.keys, dim, dp, m.d_out);
  for (std::int64_t i = g.keys * dp; i < area; ++i) m.query[i] = m.d_out[i] = 0;
  for (std::int64_t r = 0; r < g.keys; ++r) {
    const T* o = static_cast<const T*>(g.o) + r * g.ldo + h * dim;
    Vf lanes{};
    over_row(dim, [&](std::int64_t c, std::int64_t n) {
      lanes = fma(load_n(o + c, n), load_n(m.d_out + r * dp + c, n), lanes);
    });
    m.delta[r] = sum_lanes(lanes);
  }
}

// dQ of 64 queries from q0 on, 64 features from d0 on, over all tiles of keys before them; with
// d0 = 0 also their share of dK and dV.
BOREAL_INLINE void backward_tile(const AttentionArgs& g, const BackwardMemory& m, std::int64_t h,
                                 std::int64_t q0, std::int64_t d0, std::int64_t dp) {
  const std::int64_t n = g.keys;
  const std::int64_t rows = least(kPanel, n - q0);
  for (std::int64_t i = 0; i < kPanel * kPanel; ++i) m.dq_tile[i] = 0;
  for (std::int64_t k0 = 0; k0 <= q0; k0 += kPanel) {
    // Rows and keys past the document's end are left out: their terms would be exact zeros.
    const std::int64_t here = least(kPanel, n - k0);
    small_gemm(m.query + q0 * dp, dp, m.keys_t + k0 * dp, kPanel, m.score, kPanel, rows, kPanel,
               g.head_dim, false);
    small_gemm(m.d_out + q0 * dp, dp, m.values_t + k0 * dp, kPanel, m.d_score, kPanel, rows, kPanel,
               g.head_dim, false);
    softmax_backward_tile(m.score, m.d_score, g.lse + h * g.lse_stride + q0, m.delta + q0, rows,
                          q0 - k0, g.scale);
    small_gemm(m.d_score, kPanel, m.keys + k0 * dp + d0, dp, m.dq_tile, kPanel, rows, kPanel, here,
               true);
    if (d0 > 0) continue;
    transpose_part(m.score, rows, here, m.score_t);
    small_gemm(m.score_t, kPanel, m.d_out + q0 * dp, dp, m.dv + k0 * dp, dp, here, dp, rows, true);
    transpose_part(m.d_score, rows, here, m.score_t);
    small_gemm(m.score_t, kPanel, m.query + q0 * dp, dp, m.dk + k0 * dp, dp, here, dp, rows, true);
  }
}

template <class T>
void attention_backward(const AttentionArgs& g) {
  const std::int64_t dim = g.head_dim;
  const std::int64_t dp = padded_dim(dim);
  const std::int64_t area = padded_keys(g.keys) * dp;
  BackwardMemory m(g.scratch, area, padded_keys(g.keys));
  load_keys<T>(g, dp, area, m);
  for (std::int64_t h = 0; h < g.heads_per_kv; ++h) {
    load_head<T>(g, h, dp, area, m);
    for (std::int64_t q0 = 0; q0 < g.keys; q0 += kPanel)
      for (std::int64_t d0 = 0; d0 < dp; d0 += kPanel) {
        backward_tile(g, m, h, q0, d0, dp);
        narrow(m.dq_tile, kPanel, least(kPanel, g.keys - q0), least(kPanel, dim - d0),
               static_cast<T*>(g.dq) + q0 * g.ldq + h * dim + d0, g.ldq);
      }
  }
  narrow(m.dk, dp, g.keys, dim, static_cast<T*>(g.dk), g.ldk);
  narrow(m.dv, dp, g.keys, dim, static_cast<T*>(g.dv), g.ldv);
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
