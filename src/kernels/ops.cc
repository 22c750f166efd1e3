#include "kernels/ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/operands.h"

namespace boreal::kernels {

namespace {
constexpr std::int64_t kFlatGrain = 4096;
}  // namespace

void rope(const Context& ctx, Tensor x, const Tensor& position, const Tensor& cos_sin,
          std::int64_t heads, Rotation rotation) {
  const device::Span span(ctx, "rope", 0, 2 * x.bytes());
  CHECK_EQ(x.columns() % heads, 0);
  const std::int64_t head_dim = x.columns() / heads;
  CHECK_LE(cos_sin.columns(), head_dim);
  CHECK_EQ(position.elements(), x.rows());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).rope[index(x.dtype)];
  const float sign = rotation == Rotation::forward ? 1.0F : -1.0F;
  ctx.pool->split(x.rows(), kRowGrain, [&](std::int64_t b, std::int64_t e) {
    run(row(x, b), x.row_stride, ids(position) + b, floats(cos_sin), e - b, heads, head_dim,
        cos_sin.columns(), sign);
  });
}

void rope_table(const Context& ctx, std::span<const float> frequency, Tensor cos_sin) {
  const std::int64_t half = cos_sin.columns() / 2;
  CHECK_EQ(static_cast<std::int64_t>(frequency.size()), half);
  if (ctx.is_meta()) return;
  float* out = floats(cos_sin);
  for (std::int64_t p = 0; p < cos_sin.rows(); ++p)
    for (std::int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(p) * frequency[static_cast<std::size_t>(i)];
      out[p * 2 * half + i] = std::cos(angle);
      out[p * 2 * half + half + i] = std::sin(angle);
    }
}

void gather_rows(const Context& ctx, const Tensor& table, const Tensor& id, bool accumulate,
                 Tensor y, std::int64_t first) {
  const device::Span span(ctx, "gather_rows", 0, (accumulate ? 3 : 2) * y.bytes());
  CHECK_EQ(id.elements(), y.rows());
  CHECK_EQ(table.columns(), y.columns());
  CHECK(table.dtype == y.dtype);
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).gather[index(y.dtype)];
  ctx.pool->split(y.rows(), 1, [&](std::int64_t b, std::int64_t e) {
    run(table.data, table.columns(), first, table.rows(), ids(id) + b, e - b, accumulate,
        row(y, b));
  });
}

void scatter_rows(const Context& ctx, const Tensor& dy, const Tensor& id, Tensor grad,
                  std::int64_t first) {
  const device::Span span(ctx, "scatter_rows", 0, dy.bytes() + 8 * dy.elements());
  CHECK_EQ(id.elements(), dy.rows());
  CHECK_EQ(grad.columns(), dy.columns());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).scatter[index(dy.dtype)];
  ctx.pool->split(dy.columns(), kColumnGrain, [&](std::int64_t b, std::int64_t e) {
    run(dy.data, dy.columns(), ids(id), dy.rows(), b, e, first, grad.rows(), floats(grad));
  });
}

void column_sum(const Context& ctx, const Tensor& x, Tensor sum) {
  const device::Span span(ctx, "column_sum", 0, x.bytes());
  CHECK_EQ(sum.elements(), x.columns());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).column_sum[index(x.dtype)];
  ctx.pool->split(x.columns(), kColumnGrain, [&](std::int64_t b, std::int64_t e) {
    run(x.data, x.row_stride, x.rows(), b, e, floats(sum));
  });
}

void copy_rows(const Context& ctx, const Tensor& src, const Tensor& dst_row, Tensor dst) {
  const device::Span span(ctx, "copy_rows", 0, 2 * src.bytes());
  CHECK_EQ(dst_row.elements(), src.rows());
  CHECK_EQ(dst.columns(), src.columns());
  CHECK(dst.dtype == src.dtype);
  if (ctx.is_meta()) return;
  const auto bytes = static_cast<std::size_t>(src.columns()) * bytes_of(src.dtype);
  for (std::int64_t r = 0; r < src.rows(); ++r) {
    CHECK_LT(ids(dst_row)[r], dst.rows());
    std::memcpy(row(dst, ids(dst_row)[r]), row(src, r), bytes);
  }
}

void fill_zero(const Context& ctx, Tensor x) {
  const device::Span span(ctx, "fill_zero", 0, x.bytes());
  if (ctx.is_meta()) return;
  const auto size = static_cast<std::int64_t>(bytes_of(x.dtype));
  if (!x.dense()) {
    for (std::int64_t r = 0; r < x.rows(); ++r)
      std::memset(row(x, r), 0, static_cast<std::size_t>(x.columns() * size));
    return;
  }
  ctx.pool->split(x.elements(), kFlatGrain, [&](std::int64_t b, std::int64_t e) {
    std::memset(static_cast<std::byte*>(x.data) + b * size, 0,
                static_cast<std::size_t>((e - b) * size));
  });
}

void convert(const Context& ctx, const Tensor& x, Tensor y) {
  const device::Span span(ctx, "convert", 0, x.bytes() + y.bytes());
  CHECK_EQ(x.elements(), y.elements());
  CHECK(x.dense() && y.dense());
  if (ctx.is_meta()) return;
  const cpu::CpuTable& table = cpu::table(ctx);
  ctx.pool->split(x.elements(), kFlatGrain, [&](std::int64_t b, std::int64_t e) {
    const auto count = e - b;
    if (x.dtype == y.dtype) {
      const auto size = static_cast<std::int64_t>(bytes_of(x.dtype));
      std::memcpy(static_cast<std::byte*>(y.data) + b * size,
                  static_cast<const std::byte*>(x.data) + b * size,
                  static_cast<std::size_t>(count * size));
    } else if (x.dtype == DType::f32) {
      CHECK(y.dtype == DType::bf16);
      table.to_bf16(floats(x) + b, static_cast<std::uint16_t*>(y.data) + b, count);
    } else {
      CHECK(x.dtype == DType::bf16);
      table.to_f32(static_cast<const std::uint16_t*>(x.data) + b, floats(y) + b, count);
    }
  });
}

double weighted_sum(const Context& ctx, const Tensor& x, const Tensor& weight) {
  const device::Span span(ctx, "weighted_sum", 0, 2 * x.bytes());
  CHECK_EQ(x.elements(), weight.elements());
  if (ctx.is_meta()) return 0;
  double sum = 0;
  for (std::int64_t i = 0; i < x.elements(); ++i)
    sum += static_cast<double>(floats(x)[i]) * static_cast<double>(floats(weight)[i]);
  return sum;
}

double sum_squares(const Context& ctx, const Tensor& x) {
  const device::Span span(ctx, "sum_squares", 0, x.bytes());
  if (ctx.is_meta()) return 0;
  constexpr std::int64_t kPiece = 1 << 16;
  const std::int64_t pieces = (x.elements() + kPiece - 1) / kPiece;
  std::array<double, 256> sums{};  // of as many pieces at a time
  const auto run = cpu::table(ctx).sum_squares;
  double total = 0;
  for (std::int64_t first = 0; first < pieces; first += std::ssize(sums)) {
    const std::int64_t count = std::min(std::ssize(sums), pieces - first);
    ctx.pool->split(count, 1, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t p = first + b; p < first + e; ++p)
        sums[static_cast<std::size_t>(p - first)] =
            run(floats(x) + p * kPiece, std::min(kPiece, x.elements() - p * kPiece));
    });
    for (std::int64_t p = 0; p < count; ++p) total += sums[static_cast<std::size_t>(p)];
  }
  return total;
}

void adamw(const Context& ctx, Tensor master, const Tensor& grad, Tensor m, Tensor v,
           const AdamStep& step, Gradient after, Tensor* copy) {
  const device::Span span(ctx, "adamw", 0, (after == Gradient::zero ? 8 : 7) * master.bytes());
  CHECK_EQ(master.elements(), grad.elements());
  CHECK_EQ(master.elements(), m.elements());
  CHECK_EQ(master.elements(), v.elements());
  CHECK(copy == nullptr || (copy->elements() == master.elements() && copy->dtype == DType::bf16));
  if (ctx.is_meta()) return;
  const auto t = static_cast<double>(step.step);
  cpu::AdamArgs all{
      .zero_grad = after == Gradient::zero,
      .scale = static_cast<float>(step.grad_scale),
      .beta1 = static_cast<float>(step.beta1),
      .beta2 = static_cast<float>(step.beta2),
      .eps = static_cast<float>(step.eps),
      .gain1 = static_cast<float>(1 - step.beta1),
      .gain2 = static_cast<float>(1 - step.beta2),
      .step_size = static_cast<float>(step.lr / (1 - std::pow(step.beta1, t))),
      .inv_sqrt_bias2 = static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, t))),
      .decay = static_cast<float>(step.lr * step.weight_decay)};
  const auto run = cpu::table(ctx).adamw;
  ctx.pool->split(master.elements(), kFlatGrain, [&](std::int64_t b, std::int64_t e) {
    cpu::AdamArgs part = all;
    part.master = floats(master) + b;
    part.grad = floats(grad) + b;
    part.m = floats(m) + b;
    part.v = floats(v) + b;
    if (copy != nullptr) part.copy = static_cast<std::uint16_t*>(copy->data) + b;
    part.count = e - b;
    run(part);
  });
}

}  // namespace boreal::kernels
