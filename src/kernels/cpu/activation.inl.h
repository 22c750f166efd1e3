// Activations, plain and gated, each with its slope. Sources: SiLU and the gated forms (Shazeer
// 2020), GELU exact and by tanh (Hendrycks & Gimpel 2016). Backward can write the forward's result
// once more, which it has at hand.
#pragma once

#include "kernels/cpu/math.inl.h"
#include "kernels/cpu/table.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

struct Activated {
  Vf value;
  Vf slope;
};

struct Silu {
  static BOREAL_INLINE Vf value(Vf x) { return x * sigmoid(x); }
  static BOREAL_INLINE Activated both(Vf x) {
    const Vf s = sigmoid(x);
    const Vf y = x * s;
    return {y, fma(y, 1.0F - s, s)};
  }
};

// x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): the second form is as
// exact for large negative x.
struct GeluTanh {
  static constexpr float kA = 1.5957691216057308F;  // 2 sqrt(2 / pi)
  static constexpr float kB = 0.044715F;
  static BOREAL_INLINE Vf value(Vf x) {
    const Vf u = x * kA * fma(x * x, splat(kB), splat(1.0F));
    return x * sigmoid(u);
  }
  static BOREAL_INLINE Activated both(Vf x) {
    const Vf xx = x * x;
    const Vf u = x * kA * fma(xx, splat(kB), splat(1.0F));
    const Vf s = sigmoid(u);
    const Vf y = x * s;
    const Vf du = fma(xx, splat(3.0F * kA * kB), splat(kA));
    // Where s is 0 or 1 the slope is that, however large du.
    const Vf bend = y * (1.0F - s);
    return {y, select(bend == 0.0F, s, fma(bend, du, s))};
  }
};

struct GeluErf {
  static BOREAL_INLINE Vf value(Vf x) { return x * normal(x).below; }
  static BOREAL_INLINE Activated both(Vf x) {
    const Normal at = normal(x);
    return {x * at.below, fma(x, at.density, at.below)};
  }
};

template <class T, class F>
void activation(const ActivationArgs& a) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const T* x = static_cast<const T*>(a.x) + r * a.columns;
    T* y = static_cast<T*>(a.y) + r * a.columns;
    over_row(a.columns, [&](std::int64_t c, auto n)
                            BOREAL_BODY { store_n(y + c, F::value(load_n(x + c, n)), n); });
  }
}

template <class T, class F>
void activation_backward(const ActivationArgs& a) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const T* x = static_cast<const T*>(a.x) + r * a.columns;
    const T* dy = static_cast<const T*>(a.dy) + r * a.columns;
    T* dx = static_cast<T*>(a.dx) + r * a.columns;
    T* y = a.y == nullptr ? nullptr : static_cast<T*>(a.y) + r * a.columns;
    const auto run = [&](auto again) {
      over_row(a.columns, [&](std::int64_t c, auto n) BOREAL_BODY {
        const Activated f = F::both(load_n(x + c, n));
        store_n(dx + c, load_n(dy + c, n) * f.slope, n);
        if constexpr (again) store_n(y + c, f.value, n);
      });
    };
    y == nullptr ? run(No{}) : run(Yes{});
  }
}

// x = gate | up, y = f(gate) up.
template <class T, class F>
void gated(const ActivationArgs& a) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const T* gate = static_cast<const T*>(a.x) + r * 2 * a.columns;
    const T* up = gate + a.columns;
    T* y = static_cast<T*>(a.y) + r * a.columns;
    over_row(a.columns, [&](std::int64_t c, auto n) BOREAL_BODY {
      store_n(y + c, F::value(load_n(gate + c, n)) * load_n(up + c, n), n);
    });
  }
}

template <class T, class F>
void gated_backward(const ActivationArgs& a) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const T* gate = static_cast<const T*>(a.x) + r * 2 * a.columns;
    const T* up = gate + a.columns;
    const T* dy = static_cast<const T*>(a.dy) + r * a.columns;
    T* d_gate = static_cast<T*>(a.dx) + r * 2 * a.columns;
    T* d_up = d_gate + a.columns;
    T* y = a.y == nullptr ? nullptr : static_cast<T*>(a.y) + r * a.columns;
    const auto run = [&](auto again) {
      over_row(a.columns, [&](std::int64_t c, auto n) BOREAL_BODY {
        const Activated f = F::both(load_n(gate + c, n));
        const Vf u = load_n(up + c, n);
        const Vf d = load_n(dy + c, n);
        store_n(d_gate + c, d * u * f.slope, n);
        store_n(d_up + c, d * f.value, n);
        if constexpr (again) store_n(y + c, f.value * u, n);
      });
    };
    y == nullptr ? run(No{}) : run(Yes{});
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
