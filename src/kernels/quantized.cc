#include "kernels/quantized.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/cpu/dispatch.h"

namespace boreal::kernels {

using tensor::Shape;
using tensor::Tensor;

namespace {

static_assert(kWeightBlock == cpu::kQuantizedBlock);

// Rows of activations that are rounded at once: their integers stay in the second-level cache while
// the weights stream past.
constexpr std::int64_t kRoundedRows = 96;
constexpr std::int64_t kScaleBytes = 2;
constexpr std::uint16_t kNotANumber = 0x7e00;
constexpr std::size_t kBlockBytesMax = 34;

using Block = std::array<float, kWeightBlock>;

std::int64_t blocks_of(std::int64_t columns) {
  return (columns + kWeightBlock - 1) / kWeightBlock;
}
std::int64_t panels_of(std::int64_t n) {
  return (n + cpu::kPanel - 1) / cpu::kPanel;
}
int bits_of(WeightFormat format) {
  CHECK(format != WeightFormat::plain);
  return format == WeightFormat::q8_0 ? 8 : 4;
}

Block read_block(const Tensor& src, std::int64_t row, std::int64_t block) {
  Block values{};
  const std::int64_t begin = block * kWeightBlock;
  const std::int64_t count = std::min(kWeightBlock, src.columns() - begin);
  const std::int64_t at = row * src.row_stride + begin;
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] =
        src.dtype == DType::f32 ? static_cast<const float*>(src.data)[at + i]
                                : to_float(static_cast<const bf16_t*>(src.data)[at + i]);
  return values;
}

// The scale puts the value of largest magnitude on the last step that both signs have (8 bits), or
// on -8, whatever its sign (4 bits): of the sixteen steps only the negative side has an eighth.
void write_block(const Block& values, int bits, std::byte* out) {
  float extreme = 0;
  bool finite = true;
  for (const float x : values) {
    if (std::abs(x) > std::abs(extreme)) extreme = x;
    finite = finite && std::isfinite(x);
  }
  std::uint16_t scale = half_bits(bits == 8 ? std::abs(extreme) / 127.0F : extreme / -8.0F);
  // The scale cannot say it: NaN, so that nobody takes the block for numbers.
  if (!finite || std::isinf(float_of_half(scale))) scale = kNotANumber;
  std::memcpy(out, &scale, kScaleBytes);
  const float step = float_of_half(scale);
  const auto steps = [&](std::size_t i, int low, int high) {
    if (step == 0 || !std::isfinite(step)) return 0;
    return static_cast<int>(std::clamp(std::nearbyint(values[i] / step), static_cast<float>(low),
                                       static_cast<float>(high)));
  };
  out += kScaleBytes;
  if (bits == 8) {
    for (std::size_t i = 0; i < kWeightBlock; ++i)
      out[i] = static_cast<std::byte>(static_cast<std::int8_t>(steps(i, -127, 127)));
    return;
  }
  constexpr std::size_t kHalf = kWeightBlock / 2;
  for (std::size_t i = 0; i < kHalf; ++i)
    out[i] = static_cast<std::byte>((steps(i, -8, 7) + 8) | ((steps(i + kHalf, -8, 7) + 8) << 4));
}

float value_at(const std::byte* block, int bits, std::int64_t i) {
  std::uint16_t scale = 0;
  std::memcpy(&scale, block, kScaleBytes);
  const std::byte* at = block + kScaleBytes;
  const auto steps = bits == 8 ? static_cast<std::int8_t>(at[i])
                               : (static_cast<int>(at[i % 16]) >> (i < 16 ? 0 : 4) & 15) - 8;
  return float_of_half(scale) * static_cast<float>(steps);
}

// Puts the block of one column into its panel.
void place(const std::byte* block, int bits, std::int64_t column, std::byte* group) {
  std::memcpy(group + column * kScaleBytes, block, kScaleBytes);
  block += kScaleBytes;
  std::byte* at = group + cpu::kPanel * kScaleBytes + column * 4;
  for (int step = 0; step < bits; ++step, at += cpu::kPanel * 4, block += 4) {
    std::uint32_t four = 0;
    std::memcpy(&four, block, 4);
    if (bits == 8) four ^= 0x80808080U;  // + 128
    std::memcpy(at, &four, 4);
  }
}

// block_of(row, block) is a pointer to the block's bytes.
template <class BlockOf>
void pack_with(const device::Context& ctx, Packed& dst, const BlockOf& block_of) {
  const int bits = bits_of(dst.format);
  const std::int64_t blocks = blocks_of(dst.k);
  const std::int64_t group_bytes = cpu::kPanel * (kScaleBytes + kWeightBlock * bits / 8);
  ctx.pool->split(panels_of(dst.n), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      const std::int64_t columns = std::min(cpu::kPanel, dst.n - panel * cpu::kPanel);
      std::byte* out = static_cast<std::byte*>(dst.storage.data) + panel * blocks * group_bytes;
      if (columns < cpu::kPanel)
        std::memset(out, 0, static_cast<std::size_t>(blocks * group_bytes));
      for (std::int64_t column = 0; column < columns; ++column)
        for (std::int64_t i = 0; i < blocks; ++i)
          place(block_of(panel * cpu::kPanel + column, i), bits, column, out + i * group_bytes);
    }
  });
}

// Rows from one block to the next: an odd number of cache lines, so that the blocks of a tile do
// not meet in the first-level cache.
std::int64_t rounded_stride(std::int64_t rows) {
  return rows % 4 == 0 ? rows + 2 : rows;
}

// Rounded activations within the scratch of a product.
cpu::RoundedRows rounded_in(const Tensor& scratch, std::int64_t blocks, std::int64_t rows) {
  const std::int64_t stride = rounded_stride(rows);
  auto* at = static_cast<std::byte*>(scratch.data);
  auto* q = reinterpret_cast<std::int8_t*>(at);
  at += stride * blocks * kWeightBlock;
  auto* scale = reinterpret_cast<float*>(at);
  at += stride * blocks * 4;
  return {q, scale, reinterpret_cast<std::int32_t*>(at), stride};
}

}  // namespace

std::string_view name_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::plain: return "plain";
    case WeightFormat::q8_0: return "q8_0";
    case WeightFormat::q4_0: return "q4_0";
  }
  return "?";
}

std::int64_t block_bytes(WeightFormat format) {
  return kScaleBytes + kWeightBlock * bits_of(format) / 8;
}

std::int64_t block_row_bytes(WeightFormat format, std::int64_t columns) {
  return blocks_of(columns) * block_bytes(format);
}

void to_blocks(const device::Context& ctx, const Tensor& src, WeightFormat format, Tensor blocks) {
  CHECK_EQ(blocks.rows(), src.rows());
  CHECK_EQ(blocks.columns(), block_row_bytes(format, src.columns()));
  if (ctx.is_meta()) return;
  const std::int64_t each = block_bytes(format);
  ctx.pool->split(src.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      for (std::int64_t i = 0; i < blocks_of(src.columns()); ++i)
        write_block(read_block(src, r, i), bits_of(format),
                    static_cast<std::byte*>(blocks.data) + r * blocks.row_stride + i * each);
  });
}

void from_blocks(const device::Context& ctx, const Tensor& blocks, WeightFormat format,
                 Tensor dst) {
  CHECK_EQ(blocks.rows(), dst.rows());
  CHECK_EQ(blocks.columns(), block_row_bytes(format, dst.columns()));
  if (ctx.is_meta()) return;
  const std::int64_t each = block_bytes(format);
  ctx.pool->split(dst.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      for (std::int64_t c = 0; c < dst.columns(); ++c) {
        const float x = value_at(static_cast<const std::byte*>(blocks.data) +
                                     r * blocks.row_stride + c / kWeightBlock * each,
                                 bits_of(format), c % kWeightBlock);
        const std::int64_t at = r * dst.row_stride + c;
        if (dst.dtype == DType::f32)
          static_cast<float*>(dst.data)[at] = x;
        else
          static_cast<bf16_t*>(dst.data)[at] = to_bf16(x);
      }
  });
}

std::int64_t quantized_bytes(WeightFormat format, std::int64_t k, std::int64_t n) {
  return panels_of(n) * cpu::kPanel * block_row_bytes(format, k);
}

std::int64_t quantized_scratch_bytes(std::int64_t k) {
  return rounded_stride(kRoundedRows) * blocks_of(k) * (kWeightBlock + 8);
}

Packed quantized_view(Tensor storage, Tensor scratch, WeightFormat format, std::int64_t k,
                      std::int64_t n) {
  CHECK_GE(storage.bytes(), quantized_bytes(format, k, n));
  CHECK_GE(scratch.bytes(), quantized_scratch_bytes(k));
  return {.storage = storage, .k = k, .n = n, .format = format, .scratch = scratch};
}

void pack_quantized(const device::Context& ctx, const Tensor& src, Packed& dst) {
  CHECK_EQ(src.columns(), dst.k);
  CHECK_EQ(src.rows(), dst.n);
  if (ctx.is_meta()) return;
  pack_with(ctx, dst, [&](std::int64_t row, std::int64_t block) {
    thread_local std::array<std::byte, kBlockBytesMax> bytes;
    write_block(read_block(src, row, block), bits_of(dst.format), bytes.data());
    return bytes.data();
  });
}

void pack_blocks(const device::Context& ctx, const Tensor& blocks, Packed& dst) {
  CHECK_EQ(blocks.rows(), dst.n);
  CHECK_EQ(blocks.columns(), block_row_bytes(dst.format, dst.k));
  if (ctx.is_meta()) return;
  pack_with(ctx, dst, [&](std::int64_t row, std::int64_t block) {
    return static_cast<const std::byte*>(blocks.data) + row * blocks.row_stride +
           block * block_bytes(dst.format);
  });
}

void quantized_gemm(const device::Context& ctx, const Tensor& a, const Packed& b, Tensor c,
                    const Epilogue& epilogue) {
  CHECK(c.dtype == a.dtype || c.dtype == DType::f32);
  CHECK_EQ(c.rows(), a.rows());
  CHECK_EQ(c.columns(), b.n);
  CHECK_EQ(a.columns(), b.k);
  CHECK(!epilogue.accumulate, "{} weights take no gradient", name_of(b.format));
  if (epilogue.residual != nullptr) CHECK(epilogue.residual->dtype == c.dtype);
  if (ctx.is_meta()) return;
  const std::int64_t blocks = blocks_of(b.k);
  const auto& table = cpu::table(ctx);
  const auto round = table.quantize_rows[cpu::index(a.dtype)];
  const std::int32_t offset = b.format == WeightFormat::q8_0 ? 128 : 8;  // of unsigned weights
  const auto multiply = table.quantized_gemm[b.format == WeightFormat::q8_0 ? 0 : 1];
  const auto c_bytes = static_cast<std::int64_t>(bytes_of(c.dtype));
  for (std::int64_t first = 0; first < a.rows(); first += kRoundedRows) {
    const std::int64_t rows = std::min(kRoundedRows, a.rows() - first);
    const cpu::RoundedRows rounded = rounded_in(b.scratch, blocks, rows);
    const auto* from = static_cast<const std::byte*>(a.data) +
                       first * a.row_stride * static_cast<std::int64_t>(bytes_of(a.dtype));
    ctx.pool->split(rows, 2, [&](std::int64_t begin, std::int64_t end) {
      round(from, a.row_stride, b.k, begin, end, offset, rounded);
    });
    const std::int64_t each = std::max<std::int64_t>(1, panels_of(b.n) / (16 * ctx.threads));
    ctx.pool->split_guided(panels_of(b.n), each, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t column = begin * cpu::kPanel;
      cpu::QuantizedArgs part{
          .a = rounded,
          .b = static_cast<const std::uint8_t*>(b.storage.data) +
               column * block_row_bytes(b.format, b.k),
          .m = rows,
          .n = std::min(b.n, end * cpu::kPanel) - column,
          .k = blocks * kWeightBlock,
          .c = static_cast<std::byte*>(c.data) + (first * c.row_stride + column) * c_bytes,
          .ldc = c.row_stride,
          .c_is_f32 = c.dtype == DType::f32};
      if (epilogue.bias != nullptr)
        part.bias = static_cast<const float*>(epilogue.bias->data) + column;
      if (epilogue.residual != nullptr) {
        part.ldr = epilogue.residual->row_stride;
        part.residual = static_cast<const std::byte*>(epilogue.residual->data) +
                        (first * part.ldr + column) * c_bytes;
      }
      multiply(part);
    });
  }
}

}  // namespace boreal::kernels
