// Loops that some model families need beside those of rowwise.inl.h: norms of heads that may lie on
// several ranks, sums. A row's result depends on that row alone.
#pragma once

#include "kernels/cpu/rowwise.inl.h"
#include "kernels/cpu/table.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

// y = x * factor + offset.
template <class T>
void affine(const void* x, void* y, std::int64_t count, float factor, float offset) {
  over_row(count, [&](std::int64_t c, std::int64_t n) {
    store_n(out<T>(y) + c, load_n(in<T>(x) + c, n) * factor + offset, n);
  });
}

template <class T>
void add(const void* a, const void* b, void* y, std::int64_t count) {
  over_row(count, [&](std::int64_t c, std::int64_t n) {
    store_n(out<T>(y) + c, load_n(in<T>(a) + c, n) + load_n(in<T>(b) + c, n), n);
  });
}

// ---- RMSNorm of heads: rows [groups][width] of any stride, w [width] shared by the groups.

template <class T>
void head_squares(const HeadArgs& g) {
  for (std::int64_t r = 0; r < g.rows; ++r)
    for (std::int64_t h = 0; h < g.groups; ++h) {
      const T* x = in<T>(g.x) + r * g.ldx + h * g.width;
      Vf lanes{};
      over_row(g.width, [&](std::int64_t c, std::int64_t n) {
        const Vf v = load_n(x + c, n);
        lanes = fma(v, v, lanes);
      });
      g.sums[r * g.groups + h] = sum_lanes(lanes);
    }
}

template <class T>
void head_norm(const HeadArgs& g) {
  for (std::int64_t r = 0; r < g.rows; ++r)
    for (std::int64_t h = 0; h < g.groups; ++h) {
      const T* x = in<T>(g.x) + r * g.ldx + h * g.width;
      T* y = out<T>(g.y) + r * g.ldy + h * g.width;
      const float scale = g.rstd[r * g.groups + h];
      over_row(g.width, [&](std::int64_t c, std::int64_t n) {
        store_n(y + c, load_n(x + c, n) * scale * load_n(g.w + c, n), n);
      });
    }
}

template <class T>
void head_dots(const HeadArgs& g) {
  for (std::int64_t r = 0; r < g.rows; ++r)
    for (std::int64_t h = 0; h < g.groups; ++h) {
      const T* x = in<T>(g.x) + r * g.ldx + h * g.width;
      const T* dy = in<T>(g.dy) + r * g.ldy + h * g.width;
      Vf lanes{};
      over_row(g.width, [&](std::int64_t c, std::int64_t n) {
        lanes = fma(load_n(dy + c, n) * load_n(g.w + c, n), load_n(x + c, n), lanes);
      });
      g.sums[r * g.groups + h] = sum_lanes(lanes);
    }
}

// dx = (dy w - x mean) rstd with mean = sums * rstd^2 / count. dx has x's stride.
template <class T>
void head_norm_backward(const HeadArgs& g) {
  for (std::int64_t r = 0; r < g.rows; ++r)
    for (std::int64_t h = 0; h < g.groups; ++h) {
      const T* x = in<T>(g.x) + r * g.ldx + h * g.width;
      const T* dy = in<T>(g.dy) + r * g.ldy + h * g.width;
      T* dx = out<T>(g.dx) + r * g.ldx + h * g.width;
      const float s = g.rstd[r * g.groups + h];
      const float mean = g.sums[r * g.groups + h] * s * s / g.count;
      over_row(g.width, [&](std::int64_t c, std::int64_t n) {
        store_n(dx + c, (load_n(dy + c, n) * load_n(g.w + c, n) - load_n(x + c, n) * mean) * s, n);
      });
    }
}

// dw[begin, end) += sum over rows and groups of dy x rstd.
template <class T>
void head_norm_weight(const HeadArgs& g, std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = 0; r < g.rows; ++r)
    for (std::int64_t h = 0; h < g.groups; ++h) {
      const T* x = in<T>(g.x) + r * g.ldx + h * g.width;
      const T* dy = in<T>(g.dy) + r * g.ldy + h * g.width;
      const float s = g.rstd[r * g.groups + h];
      over_row(end - begin, [&](std::int64_t i, std::int64_t n) {
        const std::int64_t c = begin + i;
        store_n(g.dw + c, fma(load_n(dy + c, n) * s, load_n(x + c, n), load_n(g.dw + c, n)), n);
      });
    }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
