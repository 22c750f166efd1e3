#include "kernels/gemm.h"

#include "kernels/cpu/dispatch.h"

namespace boreal::kernels {

using tensor::Tensor;

namespace {
std::int64_t even(std::int64_t k, DType dtype) {
  return dtype == DType::bf16 ? (k + 1) / 2 * 2 : k;
}
std::int64_t panels(std::int64_t n) {
  return (n + cpu::kPanel - 1) / cpu::kPanel;
}
}  // namespace

std::int64_t packed_bytes(DType dtype, std::int64_t k, std::int64_t n) {
  return panels(n) * cpu::kPanel * even(k, dtype) * static_cast<std::int64_t>(bytes_of(dtype));
}

Packed packed_view(Tensor storage, DType dtype, std::int64_t k, std::int64_t n) {
  CHECK_GE(storage.bytes(), packed_bytes(dtype, k, n));
  return {storage, dtype, k, n};
}

void pack(const device::Context& ctx, const Tensor& src, bool transposed, Packed& dst) {
  CHECK_EQ(transposed ? src.columns() : src.rows(), dst.k);
  CHECK_EQ(transposed ? src.rows() : src.columns(), dst.n);
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).pack[cpu::index(dst.dtype)];
  ctx.pool->split(panels(dst.n), 1, [&](std::int64_t begin, std::int64_t end) {
    run(src.data, src.dtype == DType::f32, src.row_stride, transposed, dst.k, dst.n, begin, end,
        dst.storage.data);
  });
}

void gemm(const device::Context& ctx, const Tensor& a, const Packed& b, Tensor c,
          const Epilogue& epilogue) {
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
  const auto run = cpu::table(ctx).gemm[cpu::index(a.dtype)];
  const auto c_bytes = static_cast<std::int64_t>(bytes_of(c.dtype));
  const auto a_bytes = static_cast<std::int64_t>(bytes_of(a.dtype));
  if (a.rows() >= 12 * ctx.threads) {
    const std::int64_t whole = ctx.isa == device::Isa::amx_bf16 ? 32 : 6;  // rows of a micro-kernel
    ctx.pool->split(all.m, whole, [&](std::int64_t begin, std::int64_t end) {
      cpu::GemmArgs part = all;
      part.m = end - begin;
      part.a = static_cast<const std::byte*>(all.a) + begin * all.lda * a_bytes;
      part.c = static_cast<std::byte*>(all.c) + begin * all.ldc * c_bytes;
      if (all.residual != nullptr)
        part.residual = static_cast<const std::byte*>(all.residual) + begin * all.ldr * c_bytes;
      run(part);
    });
    return;
  }
  ctx.pool->split(panels(all.n), 1, [&](std::int64_t begin, std::int64_t end) {
    cpu::GemmArgs part = all;
    const std::int64_t column = begin * cpu::kPanel;
    part.n = std::min(all.n, end * cpu::kPanel) - column;
    part.b = static_cast<const std::byte*>(all.b) + column * all.k * a_bytes;
    part.c = static_cast<std::byte*>(all.c) + column * c_bytes;
    if (all.bias != nullptr) part.bias = all.bias + column;
    if (all.residual != nullptr)
      part.residual = static_cast<const std::byte*>(all.residual) + column * c_bytes;
    run(part);
  });
}

void transpose(const device::Context& ctx, const Tensor& src, Tensor dst) {
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
