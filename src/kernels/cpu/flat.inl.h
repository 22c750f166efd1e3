// Operations on flat buffers of parameters, and the loops that measure the machine's peak.
#pragma once

#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"
#if defined(BOREAL_TILES)
#include "kernels/cpu/tiles.inl.h"
#endif

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

BOREAL_INLINE Vf square_root(Vf x) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  return _mm_sqrt_ps(x);
#endif
}

// AdamW (Loshchilov & Hutter 2019): decay is decoupled and goes first, as in PyTorch.
template <class Copy, class Zero>
BOREAL_INLINE void adamw_sweep(const AdamArgs& g, Copy copies, Zero zeroes) {
  over_row(g.count, [&](std::int64_t i, auto n) BOREAL_BODY {
    const Vf grad = load_n(g.grad + i, n) * g.scale;
    const Vf m = load_n(g.m + i, n) * g.beta1 + grad * g.gain1;
    const Vf v = load_n(g.v + i, n) * g.beta2 + grad * grad * g.gain2;
    store_n(g.m + i, m, n);
    store_n(g.v + i, v, n);
    const Vf w = load_n(g.master + i, n);
    const Vf denominator = square_root(v) * g.inv_sqrt_bias2 + g.eps;
    const Vf moved = w - w * g.decay - m * g.step_size / denominator;
    store_n(g.master + i, moved, n);
    if constexpr (copies) store_n(g.copy + i, moved, n);
    if constexpr (zeroes) store_n(g.grad + i, Vf{}, n);
  });
}
void adamw(const AdamArgs& g) {
  if (g.copy == nullptr)
    g.zero_grad ? adamw_sweep(g, No{}, Yes{}) : adamw_sweep(g, No{}, No{});
  else
    g.zero_grad ? adamw_sweep(g, Yes{}, Yes{}) : adamw_sweep(g, Yes{}, No{});
}

// In double, one partial sum a lane of a fixed 16, whatever the width of the set.
double sum_squares(const float* x, std::int64_t count) {
  double lane[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; ++j)
      lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  for (int j = 0; i < count; ++i, ++j)
    lane[j] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double sum = 0;
  for (const double value : lane) sum += value;
  return sum;
}

void to_bf16(const float* x, std::uint16_t* y, std::int64_t count) {
  over_row(count, [&](std::int64_t i, std::int64_t n) { store_n(y + i, load_n(x + i, n), n); });
}

void to_f32(const std::uint16_t* x, float* y, std::int64_t count) {
  over_row(count, [&](std::int64_t i, std::int64_t n) { store_n(y + i, load_n(x + i, n), n); });
}

double sum_flat(const float* x, std::int64_t count) {
  Vf lane[8] = {};
  double total = 0;
  std::int64_t i = 0;
  // Partial sums are emptied often enough to stay exact for small whole numbers.
  while (i + 8 * kWidth <= count) {
    const std::int64_t end =
        i + (std::int64_t{1} << 20) < count ? i + (std::int64_t{1} << 20) : count;
    for (; i + 8 * kWidth <= end; i += 8 * kWidth)
      for (int j = 0; j < 8; ++j) lane[j] = lane[j] + load(x + i + j * kWidth);
    for (int j = 0; j < 8; ++j) {
      total += static_cast<double>(sum_lanes(lane[j]));
      lane[j] = Vf{};
    }
  }
  for (; i < count; ++i) total += static_cast<double>(x[i]);
  return total;
}

constexpr int kChains = 12;

double peak_f32(std::int64_t iterations) {
  Vf sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = splat(static_cast<float>(i));
  Vf a = splat(0.999F);
  const Vf b = splat(0.001F);
  for (std::int64_t n = 0; n < iterations; ++n) {
    asm volatile("" : "+v"(a));  // keeps the loop from being folded
    for (int i = 0; i < kChains; ++i) sum[i] = fma(sum[i], a, b);
  }
  for (int i = 0; i < kChains; ++i) asm volatile("" : : "v"(sum[i]));
  return static_cast<double>(iterations) * kChains * kWidth * 2;
}

double peak_bf16(std::int64_t iterations) {
#if defined(BOREAL_TILES) && !defined(BOREAL_EMULATE_AMX)
  tile_configure(tile_shapes(2 * kTileRows));
  tile_zero<4>();
  tile_zero<5>();
  tile_zero<6>();
  tile_zero<7>();
  tile_zero<0>();
  tile_zero<1>();
  tile_zero<2>();
  tile_zero<3>();
  for (std::int64_t n = 0; n < iterations; ++n) {
    tile_multiply<0, 4, 6>();
    tile_multiply<1, 4, 7>();
    tile_multiply<2, 5, 6>();
    tile_multiply<3, 5, 7>();
  }
  tile_release();
  return static_cast<double>(iterations) * 4 * kTileRows * kTileRows * kTileK * 2;
#elif defined(__AVX512BF16__)
  Vf sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = Vf{};
  __m512i a = _mm512_set1_epi32(0x3f803f80);
  for (std::int64_t n = 0; n < iterations; ++n) {
    asm volatile("" : "+v"(a));
    for (int i = 0; i < kChains; ++i)
      sum[i] =
          _mm512_dpbf16_ps(sum[i], reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(a));
  }
  for (int i = 0; i < kChains; ++i) asm volatile("" : : "v"(sum[i]));
  return static_cast<double>(iterations) * kChains * kWidth * 4;
#else
  return peak_f32(iterations);  // bf16 is widened to fp32 on this set
#endif
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
