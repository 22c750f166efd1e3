// What attention forward and backward share. Both work on tiles of 64 keys and 64 lanes; a lane is
// one query of one head. Scores are kept as [key][lane]: the softmax of a lane runs down a column,
// so that all of it is vectors over lanes and nothing is summed across one. Operands of products
// are of the storage type, sums and softmax fp32.
#pragma once

#include "kernels/cpu/exp2.inl.h"
#include "kernels/cpu/math.inl.h"
#include "kernels/cpu/micro.inl.h"
#include "kernels/cpu/pack.inl.h"
#include "kernels/cpu/rotate.inl.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

constexpr float kMinusInfinity = -__builtin_huge_valf();

BOREAL_INLINE std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
BOREAL_INLINE std::int64_t most(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

// ---- products of small matrices

// What a tile of C starts from: nothing, C, or C times a factor a column.
enum class Start { zero, old, scaled };

template <class T>
struct Product {
  const T* a = nullptr;
  std::int64_t rows = 0;
  const T* b = nullptr;  // [k / pair][ldb][pair]
  std::int64_t ldb = 0;
  std::int64_t k = 0;
  std::int64_t vectors = 0;  // of columns
  float* c = nullptr;
  std::int64_t ldc = 0;
  const float* factor = nullptr;  // by column, for Start::scaled
};

BOREAL_INLINE std::int64_t group_step(Rows layout, std::int64_t row, std::int64_t) {
  return row * layout.ld;
}
BOREAL_INLINE std::int64_t group_step(Groups, std::int64_t row, std::int64_t k) {
  return row * k;
}

template <Start S, int R, int V, class T, class Layout>
BOREAL_INLINE void product_tile(const Product<T>& p, Layout layout, std::int64_t row,
                                std::int64_t vector) {
  float* c = p.c + row * p.ldc + vector * kWidth;
  Tile<R, V> tile;
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      if constexpr (S == Start::zero)
        tile.at[r][v] = Vf{};
      else if constexpr (S == Start::old)
        tile.at[r][v] = load(c + r * p.ldc + v * kWidth);
      else
        tile.at[r][v] = load(c + r * p.ldc + v * kWidth) * load(p.factor + (vector + v) * kWidth);
    }
  multiply(tile, layout, p.a + group_step(layout, row, p.k), p.b + vector * kWidth * kPair<T>,
           p.ldb, p.k);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(c + r * p.ldc + v * kWidth, tile.at[r][v]);
}

// C has whole groups of rows where A has.
template <Start S, int V, class T, class Layout>
void product_columns(const Product<T>& p, Layout layout, std::int64_t vector) {
  std::int64_t row = 0;
  if constexpr (sizeof(Layout) == sizeof(Groups)) {
    for (; row < p.rows; row += kRows) product_tile<S, kRows, V>(p, layout, row, vector);
  } else {
    for (; row + kRows <= p.rows; row += kRows) product_tile<S, kRows, V>(p, layout, row, vector);
    if constexpr (kRows > 4)
      if (row + 4 <= p.rows) product_tile<S, 4, V>(p, layout, row, vector), row += 4;
    for (; row + 2 <= p.rows; row += 2) product_tile<S, 2, V>(p, layout, row, vector);
    if (row < p.rows) product_tile<S, 1, V>(p, layout, row, vector);
  }
}

template <Start S, class T, class Layout>
BOREAL_INLINE void product(const Product<T>& p, Layout layout) {
  std::int64_t v = 0;
  for (; v + kVectors <= p.vectors; v += kVectors) product_columns<S, kVectors>(p, layout, v);
  if constexpr (kVectors > 2)
    for (; v + 2 <= p.vectors; v += 2) product_columns<S, 2>(p, layout, v);
  for (; v < p.vectors; ++v) product_columns<S, 1>(p, layout, v);
}

// ---- transposition

// dst[c][r] = src[r][c]; rows and columns are multiples of kWidth.
inline void turn(const float* src, std::int64_t lds, std::int64_t rows, std::int64_t columns,
                 float* dst, std::int64_t ldd) {
  for (std::int64_t r = 0; r < rows; r += kWidth)
    for (std::int64_t c = 0; c < columns; c += kWidth) {
      Vf block[kWidth];
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; ++i) block[i] = load(src + (r + i) * lds + c);
      turn_stage<kWidth / 2>(block);
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; ++i) store(dst + (c + i) * ldd + r, block[i]);
    }
}

BOREAL_INLINE std::int64_t whole_vectors(std::int64_t n) {
  return (n + kWidth - 1) / kWidth;
}

// ---- reading and writing heads

// Rows of scratch in the storage type: a whole number of vectors of words.
template <class T>
BOREAL_INLINE std::int64_t row_length(std::int64_t dim) {
  return whole_vectors((dim + kPair<T> - 1) / kPair<T>) * kWidth * kPair<T>;
}

// One head of one row into dst, rotated where there are angles and zero padded to row_length.
template <class T>
BOREAL_INLINE void read_head(const T* src, std::int64_t dim, const float* angles,
                             std::int64_t rotary, T* dst) {
  std::int64_t c = 0;
  if (angles != nullptr) {
    const std::int64_t half = rotary / 2;
    over_row(half, [&](std::int64_t i, std::int64_t n) {
      Vf a = load_n(src + i, n);
      Vf b = load_n(src + half + i, n);
      rotate_pair(a, b, load_n(angles + i, n), load_n(angles + half + i, n));
      store_n(dst + i, a, n);
      store_n(dst + half + i, b, n);
    });
    c = rotary;
  }
  constexpr auto kWide = static_cast<std::int64_t>(32 / sizeof(T));
  for (; c + kWide <= dim; c += kWide) __builtin_memcpy(dst + c, src + c, 32);
  for (; c < dim; ++c) dst[c] = src[c];
  for (; c < row_length<T>(dim); ++c) dst[c] = T{0};
}

// Asks for one head of some rows that come later: they lie far apart, each a line or two, which the
// hardware does not foresee.
template <class T>
BOREAL_INLINE void fetch_heads(const T* first, std::int64_t ld, std::int64_t rows,
                               std::int64_t dim) {
  constexpr auto kLine = static_cast<std::int64_t>(64 / sizeof(T));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < dim; c += kLine) __builtin_prefetch(first + r * ld + c, 0, 2);
}

// A row of fp32 to one head, times scale and turned back where there are angles.
template <class T>
BOREAL_INLINE void write_head(float* src, std::int64_t dim, const float* angles,
                              std::int64_t rotary, T* dst) {
  if (angles != nullptr) {
    const std::int64_t half = rotary / 2;
    over_row(half, [&](std::int64_t i, std::int64_t n) {
      Vf a = load_n(src + i, n);
      Vf b = load_n(src + half + i, n);
      rotate_pair(a, b, load_n(angles + i, n), -load_n(angles + half + i, n));
      store_n(src + i, a, n);
      store_n(src + half + i, b, n);
    });
  }
  over_row(dim, [&](std::int64_t i, std::int64_t n) { store_n(dst + i, load_n(src + i, n), n); });
}

BOREAL_INLINE const float* angles_at(const AttentionArgs& g, std::int64_t position) {
  return g.cos_sin == nullptr ? nullptr : g.cos_sin + position * g.rotary;
}

// Pairs of rows as the right side of a product over rows: dst [rows / pair][columns][pair], rows
// past the end zero. columns is a multiple of kWidth.
inline void pair_up(const std::uint16_t* src, std::int64_t ld, std::int64_t rows,
                    std::int64_t columns, std::uint16_t* dst) {
  for (std::int64_t r = 0; r < rows; r += 2, src += 2 * ld, dst += 2 * columns)
    for (std::int64_t c = 0; c < columns; c += kWidth) {
      const Vh second = r + 1 < rows ? bf16_of(src + ld + c) : Vh{};
      *reinterpret_cast<VuU*>(dst + 2 * c) = interleave(bf16_of(src + c), second);
    }
}
inline void pair_up(const float* src, std::int64_t ld, std::int64_t rows, std::int64_t columns,
                    float* dst) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; c += kWidth)
      store(dst + r * columns + c, load(src + r * ld + c));
}

// Stores two rows of a tile in the storage type, as one row of pairs. The rows become what was
// stored.
BOREAL_INLINE void store_pair(float* panel, std::int64_t key, std::int64_t lane, Vf& first,
                              Vf& second, bool both) {
  store(panel + key * kPanel + lane, first);
  if (both) store(panel + (key + 1) * kPanel + lane, second);
}
BOREAL_INLINE void store_pair(std::uint16_t* panel, std::int64_t key, std::int64_t lane, Vf& first,
                              Vf& second, bool) {
  const Vu pair = narrow_pair(first, second);
  *reinterpret_cast<VuU*>(panel + key * kPanel + 2 * lane) = pair;
  first = reinterpret_cast<Vf>(pair << 16);
  second = reinterpret_cast<Vf>(pair & 0xffff0000U);
}

// ---- lanes and masks

typedef std::int32_t ViAlias __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));

// What a tile's lanes are. Positions are those of the queries among the keys of the document.
struct Lanes {
  std::int64_t count = 0;
  std::int64_t lowest = 0;  // positions
  std::int64_t highest = 0;
  alignas(64) std::int32_t position[kPanel];
  alignas(64) float slope[kPanel];

  std::int64_t vectors() const { return whole_vectors(count); }
  // Keys that some lane sees.
  std::int64_t first_key(const AttentionArgs& g) const {
    return g.window > 0 ? most(0, lowest - g.window + 1) : 0;
  }
  bool all_see(const AttentionArgs& g, std::int64_t begin, std::int64_t end) const {
    return end - 1 <= lowest && (g.window == 0 || begin > highest - g.window);
  }
};

// What happens to a tile's scores before the softmax. Bare: nothing but the scale, which the
// exponential takes in. Masked: and some lanes do not see some keys. Full: caps and slopes as well.
enum class Kind { bare, masked, full };

constexpr float kLog2E = 1.44269504088896341F;

BOREAL_INLINE Kind kind_of(const AttentionArgs& g, const Lanes& lanes, std::int64_t begin,
                           std::int64_t end) {
  if (g.soft_cap != 0 || g.slopes != nullptr) return Kind::full;
  return lanes.all_see(g, begin, end) ? Kind::bare : Kind::masked;
}

struct Scores {
  const AttentionArgs& g;
  const Lanes& lanes;

  // Logarithms to base 2 are factor() times of().
  float factor() const {
    return g.soft_cap != 0 || g.slopes != nullptr ? kLog2E : g.scale * kLog2E;
  }

  // Q.K of one key and a vector of lanes; what a lane does not see is minus infinity. slope: the
  // derivative of the cap, for backward.
  template <Kind K>
  BOREAL_INLINE Vf of(Vf raw, std::int64_t key, std::int64_t lane, Vf* slope = nullptr) const {
    if constexpr (K == Kind::bare) return raw;
    const Vi position = *reinterpret_cast<const ViAlias*>(lanes.position + lane);
    const Vi distance = position - static_cast<std::int32_t>(key);
    Vf s = raw;
    if constexpr (K == Kind::full) {
      s = s * g.scale;
      if (g.soft_cap != 0) {
        const Vf t = tanh(s * (1.0F / g.soft_cap));
        s = t * g.soft_cap;
        if (slope != nullptr) *slope = 1.0F - t * t;
      }
      if (g.slopes != nullptr)
        s = s - load(lanes.slope + lane) * __builtin_convertvector(distance, Vf);
    }
    Vi hidden = distance < 0;
    if (g.window > 0) hidden = hidden | (distance >= static_cast<std::int32_t>(g.window));
    return select(hidden, splat(kMinusInfinity), s);
  }
};

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
