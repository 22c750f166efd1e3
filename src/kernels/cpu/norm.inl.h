// Norms of rows, or of equal pieces of rows (heads). Forward reads a row from memory once; what
// follows finds it in the first-level cache. Backward gives the gradient of the row and its share
// of the weight's gradient in one reading.
#pragma once

#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

// The sum of a row, written and rounded on its way (or the row itself), and what is needed of it:
// the sum of squares for RMSNorm, the sum for LayerNorm.
template <class T, bool kLayer>
BOREAL_INLINE float first_reading(const T* x, const T* residual, T* sum, std::int64_t columns) {
  Vf chain[4] = {};
  const auto take = [&](Vf v, int i)
                        BOREAL_BODY { chain[i] = kLayer ? chain[i] + v : fma(v, v, chain[i]); };
  if (residual == nullptr) {
    over_row_in_chains(
        columns, [&](std::int64_t c, auto n, int i) BOREAL_BODY { take(load_n(x + c, n), i); });
  } else {
    over_row_in_chains(columns, [&](std::int64_t c, auto n, int i) BOREAL_BODY {
      const Vf v = kept(load_n(x + c, n) + load_n(residual + c, n), x);
      store_n(sum + c, v, n);
      take(v, i);
    });
  }
  return sum_chains(chain);
}

template <class T, bool kLayer>
BOREAL_INLINE void norm_row(const NormArgs& g, const T* x, T* y, const T* residual, T* sum,
                            const T* after, std::int64_t at) {
  const auto count = static_cast<float>(g.columns);
  const float whole = first_reading<T, kLayer>(x, residual, sum, g.columns);
  if (residual != nullptr) x = sum;
  float mean = 0;
  float squares = whole;
  if constexpr (kLayer) {
    mean = whole / count;
    Vf chain[4] = {};
    over_row_in_chains(g.columns, [&](std::int64_t c, auto n, int i) BOREAL_BODY {
      const Vf v = counted(load_n(x + c, n) - mean, n);
      chain[i] = fma(v, v, chain[i]);
    });
    squares = sum_chains(chain);
    if (g.mean != nullptr) g.mean[at] = mean;
  }
  const float rstd = 1.0F / __builtin_sqrtf(squares / count + g.eps);
  if (g.rstd != nullptr) g.rstd[at] = rstd;
  const auto value = [&](std::int64_t c, auto n) BOREAL_BODY {
    const Vf w = load_n(g.w + c, n) + g.offset;
    if constexpr (kLayer)
      return fma((load_n(x + c, n) - mean) * rstd, w, load_n(g.b + c, n));
    else
      return load_n(x + c, n) * rstd * w;
  };
  if (after == nullptr)
    over_row(g.columns,
             [&](std::int64_t c, auto n) BOREAL_BODY { store_n(y + c, value(c, n), n); });
  else
    over_row(g.columns, [&](std::int64_t c, auto n)
                            BOREAL_BODY { store_n(y + c, value(c, n) + load_n(after + c, n), n); });
}

template <class T, bool kLayer>
void norm_forward(const NormArgs& g) {
  const auto place = [](auto* base, std::int64_t offset) {
    return base == nullptr ? nullptr : base + offset;
  };
  for (std::int64_t r = 0; r < g.rows; ++r)
    for (std::int64_t p = 0; p < g.pieces; ++p) {
      const std::int64_t c = p * g.columns;
      norm_row<T, kLayer>(g, static_cast<const T*>(g.x) + r * g.ldx + c,
                          static_cast<T*>(g.y) + r * g.ldy + c,
                          place(static_cast<const T*>(g.residual), r * g.ldr + c),
                          place(static_cast<T*>(g.sum), r * g.lds + c),
                          place(static_cast<const T*>(g.after), r * g.lda + c), r * g.pieces + p);
    }
}

// With g = dy w and h the normed row: dx = rstd (g - mean(g) - h mean(g h)), without mean(g) for
// RMSNorm; dw takes dy h, db takes dy.
template <class T, bool kLayer, bool kWeight>
BOREAL_INLINE void norm_row_backward(const NormBackwardArgs& a, const T* dy, const T* x,
                                     const T* dres, T* dx, std::int64_t at) {
  const auto count = static_cast<float>(a.columns);
  const float rstd = a.rstd[at];
  const float mean = kLayer ? a.mean[at] : 0.0F;
  const auto normed = [&](std::int64_t c, auto n) BOREAL_BODY {
    if constexpr (kLayer)
      return (load_n(x + c, n) - mean) * rstd;
    else
      return load_n(x + c, n) * rstd;
  };
  Vf sum_g[4] = {};
  Vf sum_gh[4] = {};
  over_row_in_chains(a.columns, [&](std::int64_t c, auto n, int i) BOREAL_BODY {
    const Vf d = load_n(dy + c, n);
    const Vf h = normed(c, n);
    const Vf g = d * (load_n(a.w + c, n) + a.offset);  // zero past the end, so h there is nothing
    if constexpr (kLayer) sum_g[i] = sum_g[i] + g;
    sum_gh[i] = fma(g, h, sum_gh[i]);
    if constexpr (kWeight) {
      store_n(a.dw + c, fma(d, h, load_n(a.dw + c, n)), n);
      if constexpr (kLayer) store_n(a.db + c, load_n(a.db + c, n) + d, n);
    }
  });
  const float mean_g = kLayer ? sum_chains(sum_g) / count : 0.0F;
  const float mean_gh = sum_chains(sum_gh) / count;
  const auto slope = [&](std::int64_t c, auto n) BOREAL_BODY {
    const Vf g = load_n(dy + c, n) * (load_n(a.w + c, n) + a.offset);
    return fma(normed(c, n), splat(-mean_gh), kLayer ? g - mean_g : g) * rstd;
  };
  if (dres == nullptr)
    over_row(a.columns,
             [&](std::int64_t c, auto n) BOREAL_BODY { store_n(dx + c, slope(c, n), n); });
  else
    over_row(a.columns, [&](std::int64_t c, auto n)
                            BOREAL_BODY { store_n(dx + c, slope(c, n) + load_n(dres + c, n), n); });
}

template <class T, bool kLayer>
void norm_backward(const NormBackwardArgs& a) {
  for (std::int64_t r = 0; r < a.rows; ++r)
    for (std::int64_t p = 0; p < a.pieces; ++p) {
      const std::int64_t c = p * a.columns;
      const T* dy = static_cast<const T*>(a.dy) + r * a.lddy + c;
      const T* x = static_cast<const T*>(a.x) + r * a.ldx + c;
      const T* dres =
          a.dres == nullptr ? nullptr : static_cast<const T*>(a.dres) + r * a.lddres + c;
      T* dx = static_cast<T*>(a.dx) + r * a.lddx + c;
      if (a.dw != nullptr)
        norm_row_backward<T, kLayer, true>(a, dy, x, dres, dx, r * a.pieces + p);
      else
        norm_row_backward<T, kLayer, false>(a, dy, x, dres, dx, r * a.pieces + p);
    }
}

template <class T>
void rms_forward(const NormArgs& g) {
  norm_forward<T, false>(g);
}
template <class T>
void layer_forward(const NormArgs& g) {
  norm_forward<T, true>(g);
}
template <class T>
void rms_backward(const NormBackwardArgs& a) {
  norm_backward<T, false>(a);
}
template <class T>
void layer_backward(const NormBackwardArgs& a) {
  norm_backward<T, true>(a);
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
