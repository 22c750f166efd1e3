// Functions of vectors: e^x, the sigmoid, tanh, the normal distribution. Errors are stated in units
// of the last place of fp32.
#pragma once

#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

// a - b * c
BOREAL_INLINE Vf fnma(Vf a, Vf b, Vf c) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_ps(b, c, a);
#elif defined(__FMA__)
  return _mm256_fnmadd_ps(b, c, a);
#else
  return a - b * c;
#endif
}

// e^x: range reduction by ln 2 in two parts and a polynomial of degree 7 (Cephes' expf); about 1
// ulp. Below -87.3 the result is 0, above 88.3 at least e^88.3 and above 88.73 infinite; not a
// number stays one.
BOREAL_INLINE Vf exp(Vf x) {
#if defined(__AVX512F__)
  x = vmin(splat(89.0F), x);
  const __mmask16 counts = _mm512_cmp_ps_mask(x, splat(-87.3F), _CMP_NLT_UQ);
  const Vf n = _mm512_roundscale_ps(x * 1.44269504088896341F, 0x08);
#else
  const Vi huge = x > 88.72F;
  x = vmin(splat(88.3F), vmax(splat(-87.3F), x));
  // Round to nearest by the float trick: adding 1.5 * 2^23 leaves the integer in the low bits.
  const Vf shifted = x * 1.44269504088896341F + 12582912.0F;
  const Vf n = shifted - 12582912.0F;
#endif
  Vf r = fnma(x, n, splat(0.693359375F));
  r = fnma(r, n, splat(-2.12194440e-4F));
  Vf p = splat(1.9875691500e-4F);
  p = fma(p, r, splat(1.3981999507e-3F));
  p = fma(p, r, splat(8.3334519073e-3F));
  p = fma(p, r, splat(4.1665795894e-2F));
  p = fma(p, r, splat(1.6666665459e-1F));
  p = fma(p, r, splat(5.0000001201e-1F));
  p = fma(p, r, splat(1.0F));
  const Vf y = fma(p, r, splat(1.0F));
#if defined(__AVX512F__)
  return _mm512_maskz_scalef_ps(counts, y, n);
#else
  const Vi exponent = (reinterpret_cast<Vi>(shifted) - 0x4b400000) << 23;
  const Vf scaled = reinterpret_cast<Vf>(reinterpret_cast<Vi>(y) + exponent);
  const Vf finite = select(x > -87.3F, scaled, x * 0.0F + 0.0F);  // 0, or not a number
  return select(huge, splat(__builtin_huge_valf()), finite);
#endif
}

// 1 / (1 + e^-x), about 2 ulp.
BOREAL_INLINE Vf sigmoid(Vf x) {
  return 1.0F / (1.0F + exp(-x));
}

// About 2 ulp: an odd polynomial (Cephes' tanhf) up to 0.625, then 1 - 2 / (e^2x + 1).
BOREAL_INLINE Vf tanh(Vf x) {
  const Vf z = x * x;
  Vf p = splat(-5.70498872745e-3F);
  p = fma(p, z, splat(2.06390887954e-2F));
  p = fma(p, z, splat(-5.37397155531e-2F));
  p = fma(p, z, splat(1.33314422036e-1F));
  p = fma(p, z, splat(-3.33332819422e-1F));
  const Vf inner = fma(p * z, x, x);
  return select(z < 0.390625F, inner, 1.0F - 2.0F / (exp(x * 2.0F) + 1.0F));
}

// P(x): the normal distribution's share below x, and its density, both relative to about 1e-6 (4
// ulp; the tail loses what e^(-x^2 / 2) loses to the rounding of x^2). The share of the smaller
// side is e^(-x^2 / 2) times half of erfcx(|x| / sqrt(2)), which times |x| + 3 is a polynomial of
// degree 8 in (|x| - 3) / (|x| + 3), fitted to 5e-8 over [0, 14] (the mapping: Shepherd &
// Laframboise 1981).
struct Normal {
  Vf below;
  Vf density;
};
BOREAL_INLINE Normal normal(Vf x) {
  const Vf a = vmin(splat(14.0F), vmax(x, -x));
  const Vf e = exp(-0.5F * (a * a));
  const Vf t = 1.0F / (a + 3.0F);
  const Vf q = fnma(splat(1.0F), splat(6.0F), t);
  Vf p = splat(-2.6677700041e-04F);
  p = fma(p, q, splat(-9.0326182088e-04F));
  p = fma(p, q, splat(1.0760473855e-03F));
  p = fma(p, q, splat(6.9239297525e-03F));
  p = fma(p, q, splat(-1.0479939190e-02F));
  p = fma(p, q, splat(-4.7256102496e-02F));
  p = fma(p, q, splat(2.3001934987e-01F));
  p = fma(p, q, splat(-5.0933228500e-01F));
  p = fma(p, q, splat(7.2908366918e-01F));
  const Vf tail = e * t * p;
  return {select(x < 0.0F, tail, 1.0F - tail), e * 0.3989422804F};
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
