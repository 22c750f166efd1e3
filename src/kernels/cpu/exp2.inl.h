// 2^x, for softmax: relative error below 2e-7 for results that are normal numbers; smaller ones may
// be zero. NaN stays NaN, minus infinity gives 0. Requires x < 128.
#pragma once

#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

// 2^f for f in [-0.5, 0.5]: fitted at Chebyshev nodes, the constant kept at 1.
BOREAL_INLINE Vf exp2_of_fraction(Vf f) {
  Vf p = splat(1.5461448e-4F);
  p = fma(p, f, splat(1.3390867e-3F));
  p = fma(p, f, splat(9.6180569e-3F));
  p = fma(p, f, splat(5.5503570e-2F));
  p = fma(p, f, splat(2.4022651e-1F));
  p = fma(p, f, splat(6.9314718e-1F));
  return fma(p, f, splat(1.0F));
}

BOREAL_INLINE Vf exp2(Vf x) {
#if defined(__AVX512F__)
  // The order keeps a NaN. Minus infinity less itself would be one.
  const __m512 y = _mm512_max_ps(splat(-1000.0F), x);
  const __m512 whole = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_scalef_ps(exp2_of_fraction(y - whole), whole);
#else
  const Vi tiny = x < -126.0F;
  const Vf y = x < -126.0F ? splat(-126.0F) : x;
  // Rounds to nearest: adding 1.5 * 2^23 leaves the integer in the low bits.
  const Vf shifted = y + 12582912.0F;
  const Vf p = exp2_of_fraction(y - (shifted - 12582912.0F));
  const Vi exponent = (reinterpret_cast<Vi>(shifted) - 0x4b400000) << 23;
  return select(tiny, Vf{}, reinterpret_cast<Vf>(reinterpret_cast<Vi>(p) + exponent));
#endif
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
