// Causal attention of one document and one kv head, without a T x T matrix: tiles of 64 keys with
// an online softmax (Milakov & Gimelshein 2018; Dao et al., "FlashAttention", 2022). Tiles start at
// the document's first key and every lane goes through them in the same order by itself, so its
// bits do not depend on where the document stands, on its neighbours, or on whether it is computed
// whole or one query at a time.
#pragma once

#include "kernels/cpu/attention.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

template <class T>
struct ForwardMemory {
  ForwardMemory(float* memory, const AttentionArgs& g, std::int64_t key_tiles)
      : row(row_length<T>(g.head_dim)),
        groups((g.head_dim + kRows - 1) / kRows * kRows),
        key_rows(static_cast<T*>(static_cast<void*>(memory))),
        values(key_rows + key_tiles * kPanel * row),
        query_rows(values + key_tiles * kPanel * groups),
        queries(query_rows + kPanel * row),
        weights(queries + kPanel * row),
        score(reinterpret_cast<float*>(weights + kPanel * kPanel)),
        out(score + kPanel * kPanel),
        out_rows(out + most(groups, whole_vectors(g.head_dim) * kWidth) * kPanel) {}

  std::int64_t row;                // elements of a row of keys or queries
  std::int64_t groups;             // features in whole groups
  T* key_rows;                     // [keys][row]
  T* values;                       // tiles of the left side transpose(V): [groups][64 keys]
  T* query_rows;                   // [64 lanes][row]
  T* queries;                      // right side transpose(Q): [row / pair][64][pair]
  T* weights;                      // right side P: [64 keys / pair][64 lanes][pair]
  float* score;                    // [64 keys][64 lanes]
  float* out;                      // transpose(O): [groups][64 lanes]
  float* out_rows;                 // [64 lanes][features, whole vectors]
  alignas(64) float max[kPanel];   // by lane, to base 2
  alignas(64) float base[kPanel];  // the same, or 0 where it is minus infinity
  alignas(64) float sum[kPanel];   // of the weights
  alignas(64) float used[kPanel];  // of the weights as rounded: o is a mean of values, exactly
  alignas(64) float keep[kPanel];
};

// A tile of keys, ready for both products.
template <class T>
struct KeyTile {
  const T* rows = nullptr;
  std::int64_t ld = 0;
  const T* values = nullptr;
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

template <class T>
BOREAL_INLINE std::int64_t row_of_key(const AttentionArgs& g, std::int64_t key) {
  // Pages hold whole tiles; k and v then point at row 0 of the cache.
  return g.pages == nullptr ? key : g.pages[key / kPanel] + key % kPanel;
}

// once: the tile is used by these lanes only, so what lies in memory as it is needed is not copied.
template <class T>
BOREAL_INLINE KeyTile<T> read_keys(const AttentionArgs& g, ForwardMemory<T>& m, std::int64_t tile,
                                   std::int64_t slot, bool once) {
  const std::int64_t begin = tile * kPanel;
  const std::int64_t first = row_of_key<T>(g, begin);
  const std::int64_t count = least(kPanel, g.keys - begin);
  const T* from = static_cast<const T*>(g.k) + first * g.ldk;
  const bool turned = g.cos_sin != nullptr && !g.keys_rotated;
  T* rows = m.key_rows + slot * kPanel * m.row;
  KeyTile<T> keys{rows, m.row, m.values + slot * kPanel * m.groups, begin, count};
  if (once && !turned && g.head_dim % kPair<T> == 0) {
    keys.rows = from;
    keys.ld = g.ldk;
  } else {
    for (std::int64_t r = 0; r < count; ++r)
      read_head(from + r * g.ldk, g.head_dim, turned ? angles_at(g, begin + r) : nullptr, g.rotary,
                rows + r * m.row);
  }
  const T* v = static_cast<const T*>(g.v) + first * g.ldv;
  if (begin + kPanel < g.keys) {
    const std::int64_t next = row_of_key<T>(g, begin + kPanel);
    const std::int64_t left = least(kPanel, g.keys - begin - kPanel);
    fetch_heads(static_cast<const T*>(g.k) + next * g.ldk, g.ldk, left, g.head_dim);
    fetch_heads(static_cast<const T*>(g.v) + next * g.ldv, g.ldv, left, g.head_dim);
  }
  T* values = m.values + slot * kPanel * m.groups;
  for (std::int64_t c = 0; c < g.head_dim; c += kRows)
    pack_group(v + c, g.ldv, count, g.head_dim - c, values + c * even<T>(count));
  return keys;
}

// Which lanes tile `number` has: 64 queries of one head, or, where there are fewer, all queries of
// several heads.
struct LaneTile {
  std::int64_t head = 0, heads = 1;
  std::int64_t query = 0, queries = 0;
};
BOREAL_INLINE LaneTile lane_tile(const AttentionArgs& g, std::int64_t number) {
  if (g.queries >= kPanel || g.heads_per_kv == 1) {
    const std::int64_t tiles = (g.queries + kPanel - 1) / kPanel;
    const std::int64_t query = number % tiles * kPanel;
    return {number / tiles, 1, query, least(kPanel, g.queries - query)};
  }
  const std::int64_t together = kPanel / g.queries;
  const std::int64_t head = number * together;
  return {head, least(together, g.heads_per_kv - head), 0, g.queries};
}

template <class T>
void read_queries(const AttentionArgs& g, const LaneTile& at, ForwardMemory<T>& m, Lanes& lanes) {
  lanes.count = at.heads * at.queries;
  lanes.lowest = g.query_begin + at.query;
  lanes.highest = lanes.lowest + at.queries - 1;
  const std::int64_t padded = lanes.vectors() * kWidth;
  for (std::int64_t lane = 0; lane < padded; ++lane) {
    T* row = m.query_rows + lane * m.row;
    if (lane >= lanes.count) {
      // Sees what the last one sees, of a query of zeros.
      lanes.position[lane] = static_cast<std::int32_t>(lanes.highest);
      lanes.slope[lane] = 0;
      for (std::int64_t c = 0; c < m.row; ++c) row[c] = T{0};
      continue;
    }
    const std::int64_t head = at.head + lane / at.queries;
    const std::int64_t query = at.query + lane % at.queries;
    const std::int64_t position = g.query_begin + query;
    lanes.position[lane] = static_cast<std::int32_t>(position);
    lanes.slope[lane] = g.slopes != nullptr ? g.slopes[head] : 0;
    read_head(static_cast<const T*>(g.q) + query * g.ldq + head * g.head_dim, g.head_dim,
              angles_at(g, position), g.rotary, row);
  }
  const std::int64_t behind = at.query + at.queries;
  fetch_heads(static_cast<const T*>(g.q) + behind * g.ldq + at.head * g.head_dim, g.ldq,
              least(kPanel, g.queries - behind), g.head_dim);
  turn(reinterpret_cast<const float*>(m.query_rows), m.row / kPair<T>, padded, m.row / kPair<T>,
       reinterpret_cast<float*>(m.queries), kPanel);
}

// The largest score of each lane in the tile and before it, as a logarithm to base 2. Where scores
// change on the way they are stored.
template <Kind K, class T>
BOREAL_INLINE void tile_maximum(const Scores& scores, const KeyTile<T>& keys, std::int64_t lane,
                                ForwardMemory<T>& m) {
  float* column = m.score + lane;
  const auto score = [&](std::int64_t r) BOREAL_BODY {
    const Vf s = scores.of<K>(load(column + r * kPanel), keys.begin + r, lane);
    if constexpr (K != Kind::bare) store(column + r * kPanel, s);
    return s;
  };
  Vf even = splat(kMinusInfinity);  // two chains, for speed
  Vf odd = even;
  std::int64_t r = 0;
  for (; r + 2 <= keys.count; r += 2) {
    even = vmax(score(r), even);
    odd = vmax(score(r + 1), odd);
  }
  if (r < keys.count) even = vmax(score(r), even);
  const Vf before = load(m.max + lane);
  const Vf now = vmax(vmax(even, odd) * scores.factor(), before);
  store(m.max + lane, now);
  // A lane that has seen nothing yet: minus infinity less itself would not be a number.
  const Vf base = select(now == kMinusInfinity, Vf{}, now);
  store(m.base + lane, base);
  store(m.keep + lane, exp2(before - base));
}

// Scores become weights; running sums.
template <class T>
BOREAL_INLINE void tile_weights(float factor, std::int64_t count, std::int64_t lane,
                                ForwardMemory<T>& m) {
  const float* column = m.score + lane;
  const Vf base = load(m.base + lane);
  const Vf f = splat(factor);
  const Vf keep = load(m.keep + lane);
  Vf sum = load(m.sum + lane) * keep;
  Vf used = load(m.used + lane) * keep;
  std::int64_t r = 0;
  for (; r + 2 <= count; r += 2) {
    Vf first = exp2(fma(load(column + r * kPanel), f, -base));
    Vf second = exp2(fma(load(column + (r + 1) * kPanel), f, -base));
    sum = sum + first;
    sum = sum + second;
    store_pair(m.weights, r, lane, first, second, true);
    used = used + first;
    used = used + second;
  }
  if (r < count) {
    Vf first = exp2(fma(load(column + r * kPanel), f, -base));
    Vf nothing{};
    sum = sum + first;
    store_pair(m.weights, r, lane, first, nothing, false);
    used = used + first;
  }
  store(m.sum + lane, sum);
  store(m.used + lane, used);
}

template <Kind K, class T>
void online_softmax(const Scores& scores, const KeyTile<T>& keys, ForwardMemory<T>& m) {
  const std::int64_t lanes = scores.lanes.vectors() * kWidth;
  for (std::int64_t lane = 0; lane < lanes; lane += kWidth) tile_maximum<K>(scores, keys, lane, m);
  for (std::int64_t lane = 0; lane < lanes; lane += kWidth)
    tile_weights(scores.factor(), keys.count, lane, m);
}

template <class T>
BOREAL_INLINE void online_softmax(const AttentionArgs& g, const Lanes& lanes,
                                  const KeyTile<T>& keys, ForwardMemory<T>& m) {
  const Scores scores{g, lanes};
  switch (kind_of(g, lanes, keys.begin, keys.begin + keys.count)) {
    case Kind::bare: return online_softmax<Kind::bare>(scores, keys, m);
    case Kind::masked: return online_softmax<Kind::masked>(scores, keys, m);
    case Kind::full: return online_softmax<Kind::full>(scores, keys, m);
  }
}

constexpr float kLn2 = 0.693147180559945309F;

template <class T>
void write_output(const AttentionArgs& g, const LaneTile& at, const Lanes& lanes,
                  ForwardMemory<T>& m) {
  const std::int64_t wide = whole_vectors(g.head_dim) * kWidth;
  const std::int64_t padded = lanes.vectors() * kWidth;
  for (std::int64_t lane = 0; lane < padded; lane += kWidth) {
    const Vf inverse = 1.0F / load(m.used + lane);
    for (std::int64_t c = 0; c < g.head_dim; ++c)
      store(m.out + c * kPanel + lane, load(m.out + c * kPanel + lane) * inverse);
  }
  turn(m.out, kPanel, wide, padded, m.out_rows, wide);
  for (std::int64_t lane = 0; lane < lanes.count; ++lane) {
    const std::int64_t head = at.head + lane / at.queries;
    const std::int64_t query = at.query + lane % at.queries;
    write_head(m.out_rows + lane * wide, g.head_dim, nullptr, 0,
               static_cast<T*>(g.o) + query * g.ldo + head * g.head_dim);
    if (g.lse != nullptr)
      g.lse[head * g.lse_stride + query] = m.max[lane] * kLn2 + __builtin_logf(m.sum[lane]);
  }
}

template <class T>
void attention_forward(const AttentionArgs& g) {
  const bool once = g.tile_end - g.tile_begin == 1;
  const std::int64_t key_tiles = (g.keys + kPanel - 1) / kPanel;
  ForwardMemory<T> m(g.scratch, g, once ? 1 : key_tiles);
  std::int64_t ready = 0;  // tiles of keys that were read
  Lanes lanes;
  for (std::int64_t number = g.tile_begin; number < g.tile_end; ++number) {
    const LaneTile at = lane_tile(g, number);
    read_queries(g, at, m, lanes);
    for (std::int64_t lane = 0; lane < kPanel; ++lane) m.max[lane] = kMinusInfinity;
    for (std::int64_t lane = 0; lane < kPanel; ++lane) m.sum[lane] = m.used[lane] = 0;
    const std::int64_t out_size = most(m.groups, whole_vectors(g.head_dim) * kWidth) * kPanel;
    for (std::int64_t i = 0; i < out_size; ++i) m.out[i] = 0;
    for (std::int64_t t = lanes.first_key(g) / kPanel; t * kPanel <= lanes.highest; ++t) {
      KeyTile<T> keys{m.key_rows + t * kPanel * m.row, m.row, m.values + t * kPanel * m.groups,
                      t * kPanel, least(kPanel, g.keys - t * kPanel)};
      if (once) keys = read_keys(g, m, t, 0, true);
      for (; !once && ready <= t; ++ready) read_keys(g, m, ready, ready, false);
      product<Start::zero, T>({.a = keys.rows,
                               .rows = keys.count,
                               .b = m.queries,
                               .ldb = kPanel,
                               .k = even<T>(g.head_dim),
                               .vectors = lanes.vectors(),
                               .c = m.score,
                               .ldc = kPanel},
                              Rows{keys.ld});
      online_softmax(g, lanes, keys, m);
      product<Start::scaled, T>({.a = keys.values,
                                 .rows = g.head_dim,
                                 .b = m.weights,
                                 .ldb = kPanel,
                                 .k = even<T>(keys.count),
                                 .vectors = lanes.vectors(),
                                 .c = m.out,
                                 .ldc = kPanel,
                                 .factor = m.keep},
                                Groups{});
    }
    write_output(g, at, lanes, m);
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
