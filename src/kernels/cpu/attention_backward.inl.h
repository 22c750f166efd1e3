// Gradients of causal attention of one document and one kv head (Dao et al. 2022): weights are made
// again from the kept log-sums, tile by tile, in the order of queries; memory is linear in the
// document.
#pragma once

#include "kernels/cpu/attention.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

template <class T>
struct BackwardMemory {
  BackwardMemory(float* memory, const AttentionArgs& g)
      : row(row_length<T>(g.head_dim)),
        wide(whole_vectors(g.head_dim) * kWidth),
        groups((g.head_dim + kRows - 1) / kRows * kRows),
        padded((g.keys + kPanel - 1) / kPanel * kPanel),
        dk(memory),
        dv(dk + padded * wide),
        score(dv + padded * wide),
        d_weight(score + kPanel * kPanel),
        dq(d_weight + kPanel * kPanel),
        dq_rows(dq + most(groups, wide) * kPanel),
        keys(static_cast<T*>(static_cast<void*>(dq_rows + kPanel * wide))),
        values(keys + padded * row),
        key_groups(values + padded * row),
        query_rows(key_groups + padded * groups),
        d_out_rows(query_rows + kPanel * row),
        queries(d_out_rows + kPanel * row),
        d_out(queries + kPanel * row),
        query_pairs(d_out + kPanel * row),
        d_out_pairs(query_pairs + kPanel * wide),
        weight_rows(d_out_pairs + kPanel * wide),
        d_score_rows(weight_rows + kPanel * kPanel),
        d_scores(d_score_rows + kPanel * kPanel) {}

  std::int64_t row;     // elements of a row of q, k, v, dO
  std::int64_t wide;    // features, whole vectors
  std::int64_t groups;  // features, whole groups
  std::int64_t padded;  // keys, whole tiles
  float* dk;            // [padded][wide], over all heads of the group
  float* dv;
  float* score;     // [64 keys][64 lanes]: Q.K, of one tile
  float* d_weight;  // dO.V
  float* dq;        // transpose(dQ): [groups][64 lanes]
  float* dq_rows;   // [64][wide]
  T* keys;          // [padded][row]
  T* values;
  T* key_groups;  // tiles of the left side transpose(K): [groups][64 keys]
  T* query_rows;  // [64][row]
  T* d_out_rows;
  T* queries;  // right side transpose(Q): [row / pair][64][pair]
  T* d_out;
  T* query_pairs;  // right side Q: [64 / pair][wide][pair]
  T* d_out_pairs;
  T* weight_rows;  // transpose(P): [64 keys][64 lanes]
  T* d_score_rows;
  T* d_scores;  // right side transpose(dS): [64 keys / pair][64 lanes][pair]
  alignas(64) float lse[kPanel];
  alignas(64) float delta[kPanel];  // row sums of dO * O
};

template <class T>
void read_all_keys(const AttentionArgs& g, BackwardMemory<T>& m) {
  for (std::int64_t i = 0; i < m.padded * m.wide; ++i) m.dk[i] = m.dv[i] = 0;
  constexpr std::int64_t kAhead = 16;
  for (std::int64_t key = 0; key < g.keys; ++key) {
    fetch_heads(static_cast<const T*>(g.k) + (key + kAhead) * g.ldk, g.ldk, 1, g.head_dim);
    fetch_heads(static_cast<const T*>(g.v) + (key + kAhead) * g.ldv, g.ldv, 1, g.head_dim);
    read_head(static_cast<const T*>(g.k) + key * g.ldk, g.head_dim, angles_at(g, key), g.rotary,
              m.keys + key * m.row);
    read_head(static_cast<const T*>(g.v) + key * g.ldv, g.head_dim, nullptr, 0,
              m.values + key * m.row);
  }
  for (std::int64_t begin = 0; begin < g.keys; begin += kPanel) {
    const std::int64_t count = least(kPanel, g.keys - begin);
    for (std::int64_t c = 0; c < g.head_dim; c += kRows)
      pack_group(m.keys + begin * m.row + c, m.row, count, g.head_dim - c,
                 m.key_groups + begin * m.groups + c * even<T>(count));
  }
}

template <class T>
void read_query_tile(const AttentionArgs& g, std::int64_t head, std::int64_t q0,
                     BackwardMemory<T>& m, Lanes& lanes) {
  lanes.count = least(kPanel, g.keys - q0);
  lanes.lowest = q0;
  lanes.highest = q0 + lanes.count - 1;
  const std::int64_t padded = lanes.vectors() * kWidth;
  for (std::int64_t lane = 0; lane < padded; ++lane) {
    T* query = m.query_rows + lane * m.row;
    T* d_out = m.d_out_rows + lane * m.row;
    lanes.position[lane] = static_cast<std::int32_t>(q0 + lane);
    lanes.slope[lane] = g.slopes != nullptr ? g.slopes[head] : 0;
    m.delta[lane] = 0;
    m.lse[lane] = -kMinusInfinity;  // weights of lanes that are not there are zero
    if (lane >= lanes.count) {
      for (std::int64_t c = 0; c < m.row; ++c) query[c] = d_out[c] = T{0};
      continue;
    }
    const std::int64_t column = head * g.head_dim;
    const T* o = static_cast<const T*>(g.o) + (q0 + lane) * g.ldo + column;
    read_head(static_cast<const T*>(g.q) + (q0 + lane) * g.ldq + column, g.head_dim,
              angles_at(g, q0 + lane), g.rotary, query);
    read_head(static_cast<const T*>(g.d_o) + (q0 + lane) * g.ldo + column, g.head_dim, nullptr, 0,
              d_out);
    Vf sum{};
    over_row(g.head_dim, [&](std::int64_t c, std::int64_t n) {
      sum = fma(load_n(o + c, n), load_n(d_out + c, n), sum);
    });
    m.delta[lane] = sum_lanes(sum);
    m.lse[lane] = g.lse[head * g.lse_stride + q0 + lane];
  }
  const std::int64_t next = q0 + kPanel;
  const std::int64_t rows = least(kPanel, g.keys - next);
  const std::int64_t column = head * g.head_dim;
  fetch_heads(static_cast<const T*>(g.q) + next * g.ldq + column, g.ldq, rows, g.head_dim);
  fetch_heads(static_cast<const T*>(g.d_o) + next * g.ldo + column, g.ldo, rows, g.head_dim);
  fetch_heads(static_cast<const T*>(g.o) + next * g.ldo + column, g.ldo, rows, g.head_dim);
  const std::int64_t words = m.row / kPair<T>;
  turn(reinterpret_cast<const float*>(m.query_rows), words, padded, words,
       reinterpret_cast<float*>(m.queries), kPanel);
  turn(reinterpret_cast<const float*>(m.d_out_rows), words, padded, words,
       reinterpret_cast<float*>(m.d_out), kPanel);
  pair_up(m.query_rows, m.row, even<T>(lanes.count), m.wide, m.query_pairs);
  pair_up(m.d_out_rows, m.row, even<T>(lanes.count), m.wide, m.d_out_pairs);
}

BOREAL_INLINE void store_row(float* row, Vf x) {
  store(row, x);
}
BOREAL_INLINE void store_row(std::uint16_t* row, Vf x) {
  *reinterpret_cast<VhU*>(row) = narrow(x);
}

// Weights and gradients of scores, in the forms that the products want.
template <Kind K, class T>
void softmax_backward(const Scores& scores, std::int64_t k0, std::int64_t count,
                      BackwardMemory<T>& m) {
  const Vf factor = splat(scores.factor());
  const Vf scale = splat(scores.g.scale);
  const std::int64_t lanes = scores.lanes.vectors() * kWidth;
  for (std::int64_t lane = 0; lane < lanes; lane += kWidth) {
    const Vf base = load(m.lse + lane) * kLog2E;
    const Vf delta = load(m.delta + lane);
    const auto one = [&](std::int64_t r) __attribute__((always_inline)) {
      const std::int64_t at = r * kPanel + lane;
      Vf slope = splat(1.0F);
      const Vf s = scores.of<K>(load(m.score + at), k0 + r, lane, &slope);
      const Vf p = exp2(fma(s, factor, -base));
      store_row(m.weight_rows + at, p);
      Vf ds = p * scale * (load(m.d_weight + at) - delta);
      if constexpr (K == Kind::full) ds = ds * slope;
      store_row(m.d_score_rows + at, ds);
      return ds;
    };
    std::int64_t r = 0;
    for (; r + 2 <= count; r += 2) {
      Vf first = one(r);
      Vf second = one(r + 1);
      store_pair(m.d_scores, r, lane, first, second, true);
    }
    if (r < count) {
      Vf first = one(r);
      Vf nothing{};
      store_pair(m.d_scores, r, lane, first, nothing, false);
    }
  }
}

template <class T>
BOREAL_INLINE void softmax_backward(const AttentionArgs& g, const Lanes& lanes, std::int64_t k0,
                                    std::int64_t count, BackwardMemory<T>& m) {
  const Scores scores{g, lanes};
  switch (kind_of(g, lanes, k0, k0 + count)) {
    case Kind::bare: return softmax_backward<Kind::bare>(scores, k0, count, m);
    case Kind::masked: return softmax_backward<Kind::masked>(scores, k0, count, m);
    case Kind::full: return softmax_backward<Kind::full>(scores, k0, count, m);
  }
}

// dK, dV of the tile's keys, and dQ of the lanes.
template <class T>
BOREAL_INLINE void backward_tile(const AttentionArgs& g, const Lanes& lanes, std::int64_t k0,
                                 BackwardMemory<T>& m) {
  const std::int64_t count = least(kPanel, g.keys - k0);
  const std::int64_t vectors = lanes.vectors();
  const std::int64_t queries = even<T>(lanes.count);
  const Rows plain{m.row};
  const Rows tile{kPanel};
  const auto scores = [&](const T* left, const T* right, float* c) {
    product<Start::zero, T>({.a = left,
                             .rows = count,
                             .b = right,
                             .ldb = kPanel,
                             .k = even<T>(g.head_dim),
                             .vectors = vectors,
                             .c = c,
                             .ldc = kPanel},
                            plain);
  };
  scores(m.keys + k0 * m.row, m.queries, m.score);
  scores(m.values + k0 * m.row, m.d_out, m.d_weight);
  softmax_backward(g, lanes, k0, count, m);
  const auto add = [&](const T* left, const T* right, float* c) {
    product<Start::old, T>({.a = left,
                            .rows = count,
                            .b = right,
                            .ldb = m.wide,
                            .k = queries,
                            .vectors = m.wide / kWidth,
                            .c = c,
                            .ldc = m.wide},
                           tile);
  };
  add(m.weight_rows, m.d_out_pairs, m.dv + k0 * m.wide);
  add(m.d_score_rows, m.query_pairs, m.dk + k0 * m.wide);
  product<Start::old, T>({.a = m.key_groups + k0 * m.groups,
                          .rows = g.head_dim,
                          .b = m.d_scores,
                          .ldb = kPanel,
                          .k = even<T>(count),
                          .vectors = vectors,
                          .c = m.dq,
                          .ldc = kPanel},
                         Groups{});
}

template <class T>
void attention_backward(const AttentionArgs& g) {
  BackwardMemory<T> m(g.scratch, g);
  read_all_keys(g, m);
  Lanes lanes;
  const std::int64_t dq_size = most(m.groups, m.wide) * kPanel;
  for (std::int64_t head = 0; head < g.heads_per_kv; ++head)
    for (std::int64_t q0 = 0; q0 < g.keys; q0 += kPanel) {
      read_query_tile(g, head, q0, m, lanes);
      for (std::int64_t i = 0; i < dq_size; ++i) m.dq[i] = 0;
      for (std::int64_t k0 = lanes.first_key(g) / kPanel * kPanel; k0 <= q0; k0 += kPanel)
        backward_tile(g, lanes, k0, m);
      turn(m.dq, kPanel, m.wide, lanes.vectors() * kWidth, m.dq_rows, m.wide);
      for (std::int64_t lane = 0; lane < lanes.count; ++lane)
        write_head(m.dq_rows + lane * m.wide, g.head_dim, angles_at(g, q0 + lane), g.rotary,
                   static_cast<T*>(g.dq) + (q0 + lane) * g.ldq + head * g.head_dim);
    }
  for (std::int64_t key = 0; key < g.keys; ++key) {
    write_head(m.dk + key * m.wide, g.head_dim, angles_at(g, key), g.rotary,
               static_cast<T*>(g.dk) + key * g.ldk);
    write_head(m.dv + key * m.wide, g.head_dim, nullptr, 0, static_cast<T*>(g.dv) + key * g.ldv);
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
