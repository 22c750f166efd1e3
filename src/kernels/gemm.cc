#include "kernels/gemm.h"

#include <algorithm>
#include <atomic>

#include "kernels/cpu/dispatch.h"
#include "kernels/quantized.h"

namespace boreal::kernels {

using tensor::Tensor;

namespace {
std::int64_t even(std::int64_t k, DType dtype) {
  return dtype == DType::bf16 ? (k + 1) / 2 * 2 : k;
}
std::int64_t panels(std::int64_t n) {
  return (n + cpu::kPanel - 1) / cpu::kPanel;
}
// Rows that the gradient of a weight adds at once: the right side, packed, stays in the third-level
// cache, and the gradient itself passes through the caches once for so many.
std::int64_t gradient_rows(DType dtype) {
  return 4096 / static_cast<std::int64_t>(bytes_of(dtype));
}
// Rows of the gradient that a thread computes at once: their left side is packed and used while it
// is near, and rows of dy are read in runs long enough for memory. Whole groups and AMX tiles.
std::int64_t gradient_block(const device::Context& ctx, DType dtype, std::int64_t k,
                            std::int64_t out) {
  constexpr std::int64_t kLeftBytes = 1 << 20;
  constexpr std::int64_t kWhole = 96;
  const std::int64_t most =
      kLeftBytes / (even(k, dtype) * static_cast<std::int64_t>(bytes_of(dtype)));
  const std::int64_t fair = (out / (8 * ctx.threads) + 23) / 24 * 24;
  return std::max<std::int64_t>(24, std::min(most / kWhole * kWhole, fair));
}
std::int64_t left_bytes(DType dtype, std::int64_t k, std::int64_t block) {
  const std::int64_t bytes = block * even(k, dtype) * static_cast<std::int64_t>(bytes_of(dtype));
  return (bytes + 63) / 64 * 64;
}

// Its part of A does not stay in the second-level cache from one panel to the next.
bool is_long_sum(const cpu::GemmArgs& g) {
  constexpr std::int64_t kLeast = 8192;
  constexpr std::int64_t kMostRows = 1024;
  return g.k >= kLeast && g.m <= kMostRows && g.c_is_f32 && g.bias == nullptr &&
         g.residual == nullptr;
}

std::byte* moved(const void* from, std::int64_t elements, std::int64_t size) {
  return static_cast<std::byte*>(const_cast<void*>(from)) + elements * size;
}

// The product's columns from `column` on.
cpu::GemmArgs from_column(const cpu::GemmArgs& all, std::int64_t column) {
  cpu::GemmArgs part = all;
  const std::int64_t c_bytes = all.c_is_f32 ? 4 : 2;
  part.n = all.n - column;
  part.c = moved(all.c, column, c_bytes);
  if (all.bias != nullptr) part.bias = all.bias + column;
  if (all.residual != nullptr) part.residual = moved(all.residual, column, c_bytes);
  return part;
}

// Rows in runs, or, where there are few rows, columns in panels.
void product(const device::Context& ctx, const cpu::GemmArgs& all, DType dtype) {
  const auto run = cpu::table(ctx).gemm[cpu::index(dtype)];
  const std::int64_t c_bytes = all.c_is_f32 ? 4 : 2;
  const auto a_bytes = static_cast<std::int64_t>(bytes_of(dtype));
  // A run of rows passes over all of B: too short ones are not worth it where there are columns.
  const bool long_sum = all.long_sum;
  const bool by_columns = all.m < 12 * ctx.threads ||
                          (all.m <= 256 * ctx.threads && panels(all.n) >= 8 * ctx.threads) ||
                          (long_sum && panels(all.n) >= 2 * ctx.threads);
  if (!by_columns) {
    const std::int64_t tile = ctx.isa == device::Isa::amx_bf16 ? 32 : 6;  // rows of a micro-kernel
    const std::int64_t least = std::max(all.m / (8 * ctx.threads), 4 * tile);
    const std::int64_t runs = (least + tile - 1) / tile * tile;
    ctx.pool->split_guided(all.m, runs, [&](std::int64_t begin, std::int64_t end) {
      cpu::GemmArgs part = all;
      part.long_sum = false;
      part.m = end - begin;
      part.a = moved(all.a, begin * all.lda, a_bytes);
      part.c = moved(all.c, begin * all.ldc, c_bytes);
      if (all.residual != nullptr) part.residual = moved(all.residual, begin * all.ldr, c_bytes);
      run(part);
    });
    return;
  }
  // Each run of columns of a long sum reads all of A anew.
  const std::int64_t runs = (long_sum ? 1 : 16) * ctx.threads;
  const std::int64_t each = std::max<std::int64_t>(1, panels(all.n) / runs);
  ctx.pool->split_guided(panels(all.n), each, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t column = begin * cpu::kPanel;
    cpu::GemmArgs part = from_column(all, column);
    part.n = std::min(all.n, end * cpu::kPanel) - column;
    part.b = moved(all.b, column * all.k, a_bytes);
    part.b_is_far = true;
    run(part);
  });
}

void pack_panels(const device::Context& ctx, const Tensor& src, bool transposed,
                 const Packed& dst) {
  const auto run = cpu::table(ctx).pack[cpu::index(dst.dtype)];
  ctx.pool->split(panels(dst.n), 1, [&](std::int64_t begin, std::int64_t end) {
    run(src.data, src.dtype == DType::f32, src.row_stride, transposed, dst.k, dst.n, begin, end,
        dst.storage.data);
  });
}

// Part after part of B is packed and multiplied: some columns, or, where a sum is long, some of k,
// and the sums wait in C.
void product_as_used(const device::Context& ctx, const cpu::GemmArgs& all, const Packed& b) {
  const bool cut_k = all.long_sum;
  const auto size = static_cast<std::int64_t>(bytes_of(b.dtype));
  const std::int64_t width = panels(b.n) * cpu::kPanel;
  const std::int64_t fit = b.storage.bytes() / size;
  const std::int64_t step = cut_k ? fit / width / 32 * 32 : fit / all.k / cpu::kPanel * cpu::kPanel;
  CHECK_GT(step, 0);
  const std::int64_t whole = cut_k ? b.k : b.n;
  for (std::int64_t begin = 0; begin < whole; begin += step) {
    const std::int64_t end = std::min(whole, begin + step);
    const Tensor source =
        cut_k == b.transposed ? b.source.column_slice(begin, end) : b.source.row_slice(begin, end);
    const Packed part =
        packed_view(b.storage, b.dtype, cut_k ? end - begin : b.k, cut_k ? b.n : end - begin);
    pack_panels(ctx, source, b.transposed, part);
    cpu::GemmArgs args = cut_k ? all : from_column(all, begin);
    if (cut_k) {
      args.a = moved(all.a, begin, size);
      args.accumulate = all.accumulate || begin > 0;
    }
    args.k = even(part.k, b.dtype);
    args.n = part.n;
    product(ctx, args, b.dtype);
  }
}
}  // namespace

std::int64_t packed_bytes(DType dtype, std::int64_t k, std::int64_t n) {
  return panels(n) * cpu::kPanel * even(k, dtype) * static_cast<std::int64_t>(bytes_of(dtype));
}

Packed packed_view(Tensor storage, DType dtype, std::int64_t k, std::int64_t n) {
  CHECK_GE(storage.bytes(), packed_bytes(dtype, k, n));
  return {.storage = storage, .dtype = dtype, .k = k, .n = n};
}

void pack(const device::Context& ctx, const Tensor& src, bool transposed, Packed& dst) {
  const device::Span span(ctx, "pack", 0, src.bytes() + dst.storage.bytes());
  CHECK_EQ(transposed ? src.columns() : src.rows(), dst.k);
  CHECK_EQ(transposed ? src.rows() : src.columns(), dst.n);
  if (!ctx.is_meta()) pack_panels(ctx, src, transposed, dst);
}

std::int64_t room_bytes(DType dtype, std::int64_t k, std::int64_t n) {
  constexpr std::int64_t kRoom = 16 << 20;  // of the third-level cache
  const std::int64_t least = packed_bytes(dtype, k, cpu::kPanel);
  return std::min(packed_bytes(dtype, k, n), std::max(kRoom, least));
}

Packed packed_as_used(const Tensor& source, bool transposed, DType dtype, Tensor room) {
  const std::int64_t k = transposed ? source.columns() : source.rows();
  const std::int64_t n = transposed ? source.rows() : source.columns();
  CHECK_GE(room.bytes(), packed_bytes(dtype, k, cpu::kPanel));
  return {
      .storage = room, .dtype = dtype, .k = k, .n = n, .source = source, .transposed = transposed};
}

void gemm(const device::Context& ctx, const Tensor& a, const Packed& b, Tensor c,
          const Epilogue& epilogue) {
  if (b.format != WeightFormat::plain) return quantized_gemm(ctx, a, b, c, epilogue);
  const device::Span span(ctx, epilogue.accumulate ? "gemm accumulate" : "gemm",
                          2 * a.rows() * b.k * b.n,
                          a.bytes() + packed_bytes(b.dtype, b.k, b.n) + c.bytes());
  CHECK(a.dtype == b.dtype, "{} against {}", boreal::name_of(a.dtype), boreal::name_of(b.dtype));
  CHECK(c.dtype == a.dtype || c.dtype == DType::f32);
  CHECK_EQ(c.rows(), a.rows());
  CHECK_EQ(c.columns(), b.n);
  CHECK_EQ(a.columns(), even(b.k, b.dtype));
  CHECK(!epilogue.accumulate || c.dtype == DType::f32);
  if (epilogue.residual != nullptr) CHECK(epilogue.residual->dtype == c.dtype);
  if (ctx.is_meta() || a.rows() == 0) return;

  cpu::GemmArgs all{.a = a.data,
                    .lda = a.row_stride,
                    .b = b.storage.data,
                    .m = a.rows(),
                    .n = b.n,
                    .k = a.columns(),
                    .c = c.data,
                    .ldc = c.row_stride,
                    .c_is_f32 = c.dtype == DType::f32,
                    .accumulate = epilogue.accumulate};
  if (epilogue.bias != nullptr) all.bias = static_cast<const float*>(epilogue.bias->data);
  if (epilogue.residual != nullptr) {
    all.residual = epilogue.residual->data;
    all.ldr = epilogue.residual->row_stride;
  }
  all.long_sum = is_long_sum(all);
  if (b.source.shape.rank() > 0) return product_as_used(ctx, all, b);
  product(ctx, all, a.dtype);
}

std::int64_t weight_gradient_scratch(const device::Context& ctx, DType dtype, std::int64_t rows,
                                     std::int64_t out, std::int64_t in) {
  const std::int64_t k = std::min(rows, gradient_rows(dtype));
  return ctx.threads * left_bytes(dtype, k, gradient_block(ctx, dtype, k, out)) +
         packed_bytes(dtype, k, in);
}

namespace {
// dw += dy^T . x for so many rows that the right side is packed whole.
void add_gradient(const device::Context& ctx, const Tensor& dy, const Tensor& x, Tensor dw,
                  std::byte* scratch) {
  const cpu::CpuTable& table = cpu::table(ctx);
  const std::size_t type = cpu::index(x.dtype);
  const std::int64_t k = x.rows();
  const std::int64_t m = dy.columns();
  const std::int64_t n = x.columns();
  const std::int64_t group = cpu::left_rows(ctx, x.dtype);
  const std::int64_t block = gradient_block(ctx, x.dtype, k, m);
  const std::int64_t each = left_bytes(x.dtype, k, block);
  std::byte* const right = scratch + ctx.threads * each;
  ctx.pool->split(panels(n), 1, [&](std::int64_t first, std::int64_t last) {
    table.pack[type](x.data, x.dtype == DType::f32, x.row_stride, false, k, n, first, last, right);
  });
  std::atomic<std::int64_t> next{0};
  ctx.pool->run([&](std::int64_t part) {
    std::byte* const left = scratch + part * each;
    for (std::int64_t row = next.fetch_add(block); row < m; row = next.fetch_add(block)) {
      const std::int64_t rows = std::min(block, m - row);
      table.pack_left[type](dy.column_slice(row, m).data, dy.row_stride, k, m - row, 0,
                            (rows + group - 1) / group, left);
      table.gemm[type]({.a = left,
                        .lda = even(k, x.dtype),
                        .a_in_groups = group > 1,
                        .b = right,
                        .m = rows,
                        .n = n,
                        .k = even(k, x.dtype),
                        .c = dw.row_slice(row, row + rows).data,
                        .ldc = dw.row_stride,
                        .accumulate = true});
    }
  });
}
}  // namespace

void weight_gradient(const device::Context& ctx, const Tensor& dy, const Tensor& x, Tensor dw,
                     Tensor scratch) {
  const device::Span span(ctx, "weight_gradient", 2 * x.rows() * dy.columns() * x.columns(),
                          dy.bytes() + x.bytes() + 2 * dw.bytes());
  CHECK(dy.dtype == x.dtype && dw.dtype == DType::f32);
  CHECK_EQ(dy.rows(), x.rows());
  CHECK_EQ(dw.rows(), dy.columns());
  CHECK_EQ(dw.columns(), x.columns());
  CHECK_GE(scratch.bytes(),
           weight_gradient_scratch(ctx, x.dtype, x.rows(), dy.columns(), x.columns()));
  if (ctx.is_meta()) return;
  const std::int64_t at_once = gradient_rows(x.dtype);
  for (std::int64_t begin = 0; begin < x.rows(); begin += at_once) {
    const std::int64_t end = std::min(begin + at_once, x.rows());
    add_gradient(ctx, dy.row_slice(begin, end), x.row_slice(begin, end), dw,
                 static_cast<std::byte*>(scratch.data));
  }
}

void transpose(const device::Context& ctx, const Tensor& src, Tensor dst) {
  const device::Span span(ctx, "transpose", 0, src.bytes() + dst.bytes());
  CHECK_EQ(dst.rows(), src.columns());
  CHECK_GE(dst.columns(), src.rows());
  CHECK(dst.dtype == src.dtype);
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).transpose[cpu::index(src.dtype)];
  ctx.pool->split(src.columns(), 32, [&](std::int64_t begin, std::int64_t end) {
    run(src.data, src.row_stride, src.rows(), begin, end, dst.data, dst.row_stride);
  });
}

}  // namespace boreal::kernels
