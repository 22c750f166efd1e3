// Softmax and cross-entropy of a row of fp32 logits: one reading for the largest and the sums, one
// for the gradient, which may overwrite the logits. With a soft cap the logit is cap tanh(l / cap)
// (Gemma Team 2024), computed anew in each reading.
#pragma once

#include "kernels/cpu/math.inl.h"
#include "kernels/cpu/table.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

// Lane by lane: the largest yet, the sum of e^(l - largest), the sum of that times (l - largest).
struct Softmax {
  Vf max = splat(-3.4028234e38F);
  Vf sum{};
  Vf dot{};
};

// Differences stop here: e^-200 is 0, and 0 times it too.
constexpr float kFar = -200.0F;

// The sums seen from a larger largest.
template <bool kDot>
BOREAL_INLINE void move_max(Softmax& s, Vf max) {
  const Vf down = vmax(splat(kFar), s.max - max);
  const Vf factor = exp(down);
  if constexpr (kDot) s.dot = fma(down, s.sum, s.dot) * factor;
  s.sum = s.sum * factor;
  s.max = max;
}

template <bool kDot>
BOREAL_INLINE void add_exp(Softmax& s, Vf logit) {
  const Vf down = vmax(splat(kFar), logit - s.max);
  const Vf e = exp(down);
  s.sum = s.sum + e;
  if constexpr (kDot) s.dot = fma(e, down, s.dot);
}

// In one reading: eight vectors are held while their largest is found (online softmax, Milakov &
// Gimelshein 2018).
template <bool kDot, class Logit>
BOREAL_INLINE Softmax softmax_row(std::int64_t columns, Logit logit) {
  constexpr int kHeld = 8;
  Softmax s;
  std::int64_t c = 0;
  for (; c + kHeld * kWidth <= columns; c += kHeld * kWidth) {
    Vf held[kHeld];
    Vf max = s.max;
    for (int i = 0; i < kHeld; ++i) {
      held[i] = logit(c + i * kWidth, Whole{});
      max = vmax(held[i], max);
    }
    move_max<kDot>(s, max);
    for (int i = 0; i < kHeld; ++i) add_exp<kDot>(s, held[i]);
  }
  const auto one = [&](std::int64_t at, auto n) BOREAL_BODY {
    const Vf v = counted(logit(at, n), n, -__builtin_huge_valf());
    move_max<kDot>(s, vmax(v, s.max));
    add_exp<kDot>(s, v);
  };
  over_row(columns - c, [&](std::int64_t at, auto n) BOREAL_BODY { one(c + at, n); });
  return s;
}

BOREAL_INLINE Vf soft_cap(Vf x, float cap) {
  return tanh(x * (1.0F / cap)) * cap;
}

void softmax_sums(const SoftmaxArgs& a) {
  const auto plain = [&](std::int64_t c, auto n) BOREAL_BODY { return load_n(a.logits + c, n); };
  const auto capped = [&](std::int64_t c, auto n)
                          BOREAL_BODY { return soft_cap(load_n(a.logits + c, n), a.cap); };
  const auto finish = [&](Softmax s) {
    move_max<true>(s, splat(max_lanes(s.max)));
    a.max[0] = s.max[0];
    a.sum[0] = sum_lanes(s.sum);
    if (a.dot != nullptr) a.dot[0] = sum_lanes(s.dot);
  };
  const std::int64_t n = a.columns;
  if (a.dot == nullptr)
    finish(a.cap > 0 ? softmax_row<false>(n, capped) : softmax_row<false>(n, plain));
  else
    finish(a.cap > 0 ? softmax_row<true>(n, capped) : softmax_row<true>(n, plain));
}

// d[c] = (p[c] spread - onehot) seed, p = e^(l - lse), times the slope of the cap.
template <class T, class Cap>
BOREAL_INLINE void softmax_gradient_row(const SoftmaxArgs& a, Cap capped) {
  T* d = static_cast<T*>(a.dlogits);
  const float* logits = a.logits;
  const float whole = a.spread * a.seed;
  const auto slope = [&](Vf l) BOREAL_BODY {
    const Vf t = l * (1.0F / a.cap);
    return 1.0F - t * t;
  };
  const bool here = a.target >= 0 && a.target < a.columns;
  float of_target = 0;
  if (here) {
    Vf l = splat(logits[a.target]);
    if constexpr (capped) l = soft_cap(l, a.cap);
    Vf g = (exp(l - a.lse) * a.spread - 1.0F) * a.seed;
    if constexpr (capped) g = g * slope(l);
    of_target = g[0];
  }
  over_row(a.columns, [&](std::int64_t c, auto n) BOREAL_BODY {
    Vf l = load_n(logits + c, n);
    if constexpr (capped) l = soft_cap(l, a.cap);
    Vf g = exp(l - a.lse) * whole;
    if constexpr (capped) g = g * slope(l);
    store_n(d + c, g, n);
  });
  if (here) store1(d + a.target, of_target);
}

template <class T>
void softmax_gradient(const SoftmaxArgs& a) {
  a.cap > 0 ? softmax_gradient_row<T>(a, Yes{}) : softmax_gradient_row<T>(a, No{});
}

void cap_row(float* x, std::int64_t columns, float cap) {
  over_row(columns, [&](std::int64_t c, auto n)
                        BOREAL_BODY { store_n(x + c, soft_cap(load_n(x + c, n), cap), n); });
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
