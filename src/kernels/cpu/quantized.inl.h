// Products with weights in blocks of 32 along k (kernels/quantized.h): within a block the sum of
// products of integers is exact, the blocks are added by one fused multiply-add each in rising
// order. So every set gives the same bits, whatever m, n and the number of threads. Weights are
// unsigned here; the sum of a block starts at minus the offset times the sum of its activations.
#pragma once

#include "kernels/cpu/micro.inl.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kBlockRows = 6;  // 6 x 2 sums of integers and 6 x 2 of floats in 32 registers
#elif defined(__AVX2__)
constexpr int kBlockRows = 2;
#else
constexpr int kBlockRows = 1;
#endif

typedef std::int32_t ViU __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef std::int8_t Vb __attribute__((vector_size(kWidth)));
typedef std::int8_t VbU __attribute__((vector_size(kWidth), aligned(1), may_alias));

BOREAL_INLINE Vi splat_i(std::int32_t x) {
  return x - Vi{};
}

// x * y + z rounded once, on every set: libm knows how where the set does not.
BOREAL_INLINE Vf fused(Vf x, Vf y, Vf z) {
#if defined(__FMA__)
  return fma(x, y, z);
#else
  Vf r;
  for (int i = 0; i < kWidth; ++i) r[i] = __builtin_fmaf(x[i], y[i], z[i]);
  return r;
#endif
}

// kWidth halves. Those of a block are finite or NaN, never infinite.
BOREAL_INLINE Vf load_halves(const std::uint16_t* p) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  const Vu h = __builtin_convertvector(*reinterpret_cast<const VhU*>(p), Vu);
  const Vf magnitude = reinterpret_cast<Vf>((h & 0x7fffU) << 13) * 0x1p112F;
  const Vu nan = reinterpret_cast<Vu>(Vi((h & 0x7fffU) > 0x7c00U)) & 0x7fc00000U;
  return reinterpret_cast<Vf>(reinterpret_cast<Vu>(magnitude) | ((h & 0x8000U) << 16) | nan);
#endif
}

#if !defined(__AVX512VNNI__)
BOREAL_INLINE Vi multiply_pairs(Vi x, Vi y) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vi>(
      _mm512_madd_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(y)));
#elif defined(__AVX2__)
  return reinterpret_cast<Vi>(
      _mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#else
  return reinterpret_cast<Vi>(
      _mm_madd_epi16(reinterpret_cast<__m128i>(x), reinterpret_cast<__m128i>(y)));
#endif
}
#endif

// sum + the four products of the unsigned bytes of w with the signed bytes of a, lane by lane.
BOREAL_INLINE Vi dot4(Vi sum, Vi w, std::int32_t a) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<Vi>(_mm512_dpbusd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(w), _mm512_set1_epi32(a)));
#else
  // Even and odd bytes as pairs of 16 bits: the byte multiply-add of these sets saturates.
  const std::uint32_t bits = static_cast<std::uint32_t>(a);
  const auto low16 = [](std::uint32_t byte) {
    return static_cast<std::uint32_t>(static_cast<std::int8_t>(byte & 0xffU)) & 0xffffU;
  };
  const std::uint32_t even = low16(bits) | (low16(bits >> 16) << 16);
  const std::uint32_t odd = low16(bits >> 8) | (low16(bits >> 24) << 16);
  const Vu bytes = reinterpret_cast<Vu>(w);
  sum += multiply_pairs(reinterpret_cast<Vi>(bytes & 0x00ff00ffU),
                        splat_i(static_cast<std::int32_t>(even)));
  return sum + multiply_pairs(reinterpret_cast<Vi>((bytes >> 8) & 0x00ff00ffU),
                              splat_i(static_cast<std::int32_t>(odd)));
#endif
}

template <class Out, int R, int V>
BOREAL_INLINE void finish_quantized(const Vf (&sum)[R][V], const QuantizedArgs& g, std::int64_t row,
                                    std::int64_t column) {
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      const std::int64_t at = column + v * kWidth;
      const std::int64_t left = g.n - at;
      if (left <= 0) break;
      const std::int64_t n = left < kWidth ? left : kWidth;
      Vf x = sum[r][v];
      if (g.bias != nullptr) x = x + load_n(g.bias + at, n);
      if (g.residual != nullptr)
        x = x + load_n(static_cast<const Out*>(g.residual) + (row + r) * g.ldr + at, n);
      store_n(static_cast<Out*>(g.c) + (row + r) * g.ldc + at, x, n);
    }
}

template <int kBits>
constexpr std::int64_t kGroupBytes = kPanel*(2 + kQuantizedBlock * kBits / 8);

// Some blocks of k of a tile's columns. Between runs the tile's sums wait, row by row.
struct QuantizedRun {
  std::int64_t column = 0;
  std::int64_t block = 0, block_end = 0;
  float* waiting = nullptr;  // of the run's first row
};

// One block of 32 of k: integers exactly, then one fused multiply-add each.
template <int kBits, int R, int V>
BOREAL_INLINE void add_block(const QuantizedArgs& g, std::int64_t row, std::int64_t inside,
                             std::int64_t block, const std::uint8_t* b, Vf (&sum)[R][V]) {
  constexpr std::int64_t kScales = kPanel * 2;
  constexpr std::int64_t kStep = kPanel * 4;  // bytes of four k of a panel, or eight of 4 bits
  const std::int64_t at = block * g.a.stride + row;
  const std::int8_t* a = g.a.q + at * kQuantizedBlock;
  Vi part[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) part[r][v] = splat_i(g.a.start[at + r]);
  const std::uint8_t* w = b + kScales + inside * 4;
  for (int j = 0; j < kBits; ++j, w += kStep) {
    Vi low[V];
    Vi high[V];
    for (int v = 0; v < V; ++v) {
      low[v] = *reinterpret_cast<const ViU*>(w + v * kWidth * 4);
      if constexpr (kBits == 4) {
        high[v] = (low[v] >> 4) & 0x0f0f0f0f;
        low[v] = low[v] & 0x0f0f0f0f;
      }
    }
    for (int r = 0; r < R; ++r) {
      std::int32_t four[2];
      const std::int8_t* from = a + r * kQuantizedBlock + j * 4;
      __builtin_memcpy(&four[0], from, 4);
      for (int v = 0; v < V; ++v) part[r][v] = dot4(part[r][v], low[v], four[0]);
      if constexpr (kBits == 4) {
        __builtin_memcpy(&four[1], from + kQuantizedBlock / 2, 4);
        for (int v = 0; v < V; ++v) part[r][v] = dot4(part[r][v], high[v], four[1]);
      }
    }
  }
  for (int v = 0; v < V; ++v) {
    const Vf scale = load_halves(reinterpret_cast<const std::uint16_t*>(b) + inside + v * kWidth);
    for (int r = 0; r < R; ++r)
      sum[r][v] = fused(__builtin_convertvector(part[r][v], Vf), scale * splat(g.a.scale[at + r]),
                        sum[r][v]);
  }
}

// R rows x V vectors of columns, of weights of kBits bits.
template <int kBits, int R, int V, class Fetch>
BOREAL_INLINE void quantized_tile(const QuantizedArgs& g, const QuantizedRun& run, std::int64_t row,
                                  Fetch fetch) {
  const std::int64_t blocks = g.k / kQuantizedBlock;
  const std::int64_t inside = run.column % kPanel;
  const std::uint8_t* b = g.b + (run.column / kPanel * blocks + run.block) * kGroupBytes<kBits>;
  Vf sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v)
      sum[r][v] = run.block == 0 ? Vf{} : load(run.waiting + (r * V + v) * kWidth);
  for (std::int64_t i = run.block; i < run.block_end; ++i, b += kGroupBytes<kBits>) {
    fetch.row(b, 0);
    add_block<kBits, R, V>(g, row, inside, i, b, sum);
  }
  if (run.block_end < blocks) {
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) store(run.waiting + (r * V + v) * kWidth, sum[r][v]);
    return;
  }
  if (g.c_is_f32)
    finish_quantized<float, R, V>(sum, g, row, run.column);
  else
    finish_quantized<std::uint16_t, R, V>(sum, g, row, run.column);
}

template <int kBits, int V, class Fetch>
void quantized_rows(const QuantizedArgs& g, const QuantizedRun& run, std::int64_t row,
                    std::int64_t rows, Fetch fetch) {
  switch (rows) {
    case 1: return quantized_tile<kBits, 1, V>(g, run, row, fetch);
#if defined(__AVX2__)
    case 2: return quantized_tile<kBits, 2, V>(g, run, row, fetch);
#endif
#if defined(__AVX512F__)
    case 3: return quantized_tile<kBits, 3, V>(g, run, row, fetch);
    case 4: return quantized_tile<kBits, 4, V>(g, run, row, fetch);
    case 5: return quantized_tile<kBits, 5, V>(g, run, row, fetch);
    case 6: return quantized_tile<kBits, 6, V>(g, run, row, fetch);
#endif
    default: return;
  }
}

struct FetchNothing {
  BOREAL_INLINE void row(const std::uint8_t*, std::int64_t) {}
};

// Few rows: a piece of a panel is used by all of them while it lies in the first-level cache, and
// each pass over it asks for its share of the piece behind.
template <int kBits>
void quantized_few_rows(const QuantizedArgs& g) {
  constexpr std::int64_t kPiece = (12 << 10) / kGroupBytes<kBits>;
  constexpr std::int64_t kStrips = kPanel / (2 * kWidth);
  constexpr std::int64_t kShare = (kGroupBytes<kBits> / 64 + 3) / 4;  // lines, of four passes
  alignas(64) float waiting[kStrips * kFewRows * 2 * kWidth];
  const std::int64_t blocks = g.k / kQuantizedBlock;
  const std::int64_t heights = (g.m + kBlockRows - 1) / kBlockRows;
  for (std::int64_t panel = 0; panel < g.n; panel += kPanel)
    for (std::int64_t block = 0; block < blocks; block += kPiece) {
      QuantizedRun run{.block = block,
                       .block_end = block + kPiece < blocks ? block + kPiece : blocks};
      const auto* next = reinterpret_cast<const char*>(
          g.b + (panel / kPanel * blocks + run.block_end) * kGroupBytes<kBits>);
      std::int64_t pass = 0;
      for (std::int64_t strip = 0; strip < kStrips; ++strip)
        for (std::int64_t i = 0; i < heights; ++i, ++pass) {
          run.column = panel + strip * 2 * kWidth;
          if (run.column >= g.n) break;
          // Of nearly equal height: 8 rows are 4 and 4, not 6 and 2.
          const std::int64_t row = g.m * i / heights;
          const std::int64_t rows = g.m * (i + 1) / heights - row;
          run.waiting = waiting + (strip * kFewRows + row) * 2 * kWidth;
          if (pass < 4)
            quantized_rows<kBits, 2>(
                g, run, row, rows,
                FetchLines<kShare>{next + pass * kShare * 64 * (run.block_end - block)});
          else
            quantized_rows<kBits, 2>(g, run, row, rows, FetchNothing{});
        }
    }
}

template <int kBits>
void quantized_gemm(const QuantizedArgs& g) {
  QuantizedRun run{.block_end = g.k / kQuantizedBlock};
  if (g.m == 1) {
    // Memory sets the pace, and a whole panel is one stream.
    constexpr int kAll = kWidth == 16 ? 4 : 2;
    for (; run.column < g.n; run.column += kAll * kWidth)
      quantized_rows<kBits, kAll>(g, run, 0, 1, FetchNothing{});
    return;
  }
  if (g.m <= kFewRows) return quantized_few_rows<kBits>(g);
  const std::int64_t heights = (g.m + kBlockRows - 1) / kBlockRows;
  for (; run.column < g.n; run.column += 2 * kWidth)
    for (std::int64_t i = 0; i < heights; ++i) {
      const std::int64_t row = g.m * i / heights;
      quantized_rows<kBits, 2>(g, run, row, g.m * (i + 1) / heights - row, FetchNothing{});
    }
}

BOREAL_INLINE Vi round_to_int(Vf x) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vi>(_mm512_cvtps_epi32(x));
#elif defined(__AVX2__)
  return reinterpret_cast<Vi>(_mm256_cvtps_epi32(x));
#else
  return reinterpret_cast<Vi>(_mm_cvtps_epi32(x));
#endif
}

BOREAL_INLINE std::uint32_t largest_lane(Vu x) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_epu32(reinterpret_cast<__m512i>(x));
#else
  std::uint32_t most = 0;
  for (int lane = 0; lane < kWidth; ++lane) most = x[lane] > most ? x[lane] : most;
  return most;
#endif
}
BOREAL_INLINE std::int32_t sum_of_lanes(Vi x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32(reinterpret_cast<__m512i>(x));
#else
  std::int32_t sum = 0;
  for (int lane = 0; lane < kWidth; ++lane) sum += x[lane];
  return sum;
#endif
}

// One row: each block of 32 becomes integers from -127 to 127 and a scale.
template <class T>
void quantize_row(const T* x, std::int64_t columns, std::int64_t row, std::int32_t offset,
                  const RoundedRows& out) {
  const std::int64_t blocks = (columns + kQuantizedBlock - 1) / kQuantizedBlock;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t at = i * out.stride + row;
    std::int8_t* q = out.q + at * kQuantizedBlock;
    float values[kQuantizedBlock];
    const std::int64_t begin = i * kQuantizedBlock;
    const std::int64_t count =
        columns - begin < kQuantizedBlock ? columns - begin : kQuantizedBlock;
    if (count == kQuantizedBlock)
      for (std::int64_t j = 0; j < count; j += kWidth) store(values + j, load(x + begin + j));
    else
      for (std::int64_t j = 0; j < kQuantizedBlock; ++j)
        values[j] = j < count ? load1(x + begin + j) : 0;
    // By their bits magnitudes stand in order, and NaN is above all.
    Vu largest{};
    for (std::int64_t j = 0; j < kQuantizedBlock; j += kWidth) {
      const Vu bits = reinterpret_cast<Vu>(load(values + j)) & 0x7fffffffU;
      largest = bits > largest ? bits : largest;
    }
    const std::uint32_t most = largest_lane(largest);
    const float amax = __builtin_bit_cast(float, most);
    if (most >= 0x7f800000U || amax < kQuantizedTiny) {
      out.scale[at] = most >= 0x7f800000U ? __builtin_nanf("") : 0;
      out.start[at] = 0;
      __builtin_memset(q, 0, kQuantizedBlock);
      continue;
    }
    out.scale[at] = amax / 127.0F;
    const Vf inverse = splat(127.0F / amax);
    Vi total{};
    for (std::int64_t j = 0; j < kQuantizedBlock; j += kWidth) {
      const Vi whole = round_to_int(load(values + j) * inverse);
      total += whole;
      *reinterpret_cast<VbU*>(q + j) = __builtin_convertvector(whole, Vb);
    }
    out.start[at] = -offset * sum_of_lanes(total);
  }
}

template <class T>
void quantize_rows(const void* x, std::int64_t ld, std::int64_t columns, std::int64_t begin,
                   std::int64_t end, std::int32_t offset, const RoundedRows& out) {
  for (std::int64_t r = begin; r < end; ++r)
    quantize_row(static_cast<const T*>(x) + r * ld, columns, r, offset, out);
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
