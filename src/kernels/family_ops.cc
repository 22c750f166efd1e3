#include "kernels/family_ops.h"

#include <cmath>
#include <cstddef>

#include "kernels/cpu/dispatch.h"

namespace boreal::kernels {

namespace {

using cpu::index;

constexpr std::int64_t kRowGrain = 4;
constexpr std::int64_t kColumnGrain = 64;
constexpr std::int64_t kFlatGrain = 4096;

float* floats(const Tensor& t) {
  CHECK(t.dtype == DType::f32);
  return static_cast<float*>(t.data);
}
std::byte* element(const Tensor& t, std::int64_t at) {
  return static_cast<std::byte*>(t.data) + at * static_cast<std::int64_t>(bytes_of(t.dtype));
}
std::byte* row(const Tensor& t, std::int64_t r) {
  return element(t, r * t.row_stride);
}

void check_same(const Tensor& a, const Tensor& b) {
  CHECK(a.shape.rows() == b.shape.rows() && a.columns() == b.columns(), "{} against {}",
        a.shape.text(), b.shape.text());
  CHECK(a.dtype == b.dtype);
}

template <class Run>
void over_elements(const Context& ctx, const Tensor& x, const Run& run) {
  CHECK(x.dense());
  if (ctx.is_meta()) return;
  ctx.pool->split(x.elements(), kFlatGrain, run);
}

cpu::HeadArgs head_args(const Tensor& x, const Tensor& rstd) {
  const std::int64_t groups = rstd.columns();
  CHECK_EQ(rstd.rows(), x.rows());
  CHECK_EQ(x.columns() % groups, 0);
  return {.ldx = x.row_stride, .rows = x.rows(), .groups = groups, .width = x.columns() / groups};
}

// The args of rows [begin, end) alone.
template <class Run>
void over_heads(const Context& ctx, const cpu::HeadArgs& all, const Tensor& x, const Tensor* dy,
                const Tensor* dx, const Run& run) {
  if (ctx.is_meta()) return;
  ctx.pool->split(all.rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    cpu::HeadArgs part = all;
    part.rows = end - begin;
    part.x = row(x, begin);
    if (dy != nullptr) part.dy = row(*dy, begin);
    if (dx != nullptr) part.dx = row(*dx, begin);
    if (all.y != nullptr)
      part.y = static_cast<std::byte*>(all.y) +
               begin * all.ldy * static_cast<std::int64_t>(bytes_of(x.dtype));
    if (all.rstd != nullptr) part.rstd = all.rstd + begin * all.groups;
    if (all.sums != nullptr) part.sums = all.sums + begin * all.groups;
    run(part);
  });
}

}  // namespace

void affine(const Context& ctx, const Tensor& x, double factor, double offset, Tensor y) {
  const device::Span span(ctx, "affine", 0, 2 * x.bytes());
  CHECK_EQ(x.elements(), y.elements());
  CHECK(x.dtype == y.dtype && y.dense());
  over_elements(ctx, x, [&](std::int64_t b, std::int64_t e) {
    cpu::table(ctx).affine[index(x.dtype)](element(x, b), element(y, b), e - b,
                                           static_cast<float>(factor), static_cast<float>(offset));
  });
}

void add(const Context& ctx, const Tensor& a, const Tensor& b, Tensor y) {
  const device::Span span(ctx, "add", 0, 3 * a.bytes());
  check_same(a, b);
  check_same(a, y);
  CHECK(b.dense() && y.dense());
  over_elements(ctx, a, [&](std::int64_t begin, std::int64_t end) {
    cpu::table(ctx).add[index(a.dtype)](element(a, begin), element(b, begin), element(y, begin),
                                        end - begin);
  });
}

void head_squares(const Context& ctx, const Tensor& x, Tensor sums) {
  const device::Span span(ctx, "head_squares", 0, x.bytes());
  cpu::HeadArgs args = head_args(x, sums);
  args.sums = floats(sums);
  over_heads(ctx, args, x, nullptr, nullptr, [&](const cpu::HeadArgs& part) {
    cpu::table(ctx).head_squares[index(x.dtype)](part);
  });
}

void head_scales(const Context& ctx, Tensor sums, double count, double eps) {
  if (ctx.is_meta()) return;
  float* values = floats(sums);
  for (std::int64_t i = 0; i < sums.elements(); ++i)
    values[i] = 1.0F / std::sqrt(values[i] / static_cast<float>(count) + static_cast<float>(eps));
}

void head_norm(const Context& ctx, const Tensor& x, const Tensor& w, const Tensor& rstd, Tensor y) {
  const device::Span span(ctx, "head_norm", 0, 2 * x.bytes());
  check_same(x, y);
  cpu::HeadArgs args = head_args(x, rstd);
  CHECK_EQ(w.elements(), args.width);
  args.w = floats(w);
  args.rstd = floats(rstd);
  args.y = y.data;
  args.ldy = y.row_stride;
  over_heads(ctx, args, x, nullptr, nullptr,
             [&](const cpu::HeadArgs& part) { cpu::table(ctx).head_norm[index(x.dtype)](part); });
}

void head_dots(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
               Tensor sums) {
  const device::Span span(ctx, "head_norm dots", 0, 2 * x.bytes());
  check_same(dy, x);
  cpu::HeadArgs args = head_args(x, sums);
  CHECK_EQ(w.elements(), args.width);
  args.w = floats(w);
  args.ldy = dy.row_stride;
  args.sums = floats(sums);
  over_heads(ctx, args, x, &dy, nullptr,
             [&](const cpu::HeadArgs& part) { cpu::table(ctx).head_dots[index(x.dtype)](part); });
}

void head_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                        const Tensor& rstd, const Tensor& sums, double count, Tensor dx) {
  const device::Span span(ctx, "head_norm backward", 0, 3 * x.bytes());
  check_same(dy, x);
  check_same(x, dx);
  CHECK_EQ(x.row_stride, dx.row_stride);
  cpu::HeadArgs args = head_args(x, rstd);
  args.w = floats(w);
  args.ldy = dy.row_stride;
  args.rstd = floats(rstd);
  args.sums = floats(sums);
  args.count = static_cast<float>(count);
  over_heads(ctx, args, x, &dy, &dx, [&](const cpu::HeadArgs& part) {
    cpu::table(ctx).head_norm_backward[index(x.dtype)](part);
  });
}

void head_norm_weight(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& rstd,
                      Tensor dw) {
  const device::Span span(ctx, "head_norm weight", 0, 2 * x.bytes());
  check_same(dy, x);
  cpu::HeadArgs args = head_args(x, rstd);
  CHECK_EQ(dw.elements(), args.width);
  if (ctx.is_meta()) return;
  args.x = x.data;
  args.dy = dy.data;
  args.ldy = dy.row_stride;
  args.rstd = floats(rstd);
  args.dw = floats(dw);
  const auto run = cpu::table(ctx).head_norm_weight[index(x.dtype)];
  ctx.pool->split(args.width, kColumnGrain,
                  [&](std::int64_t b, std::int64_t e) { run(args, b, e); });
}

}  // namespace boreal::kernels
