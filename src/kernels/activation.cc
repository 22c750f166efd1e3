#include "kernels/operands.h"

namespace boreal::kernels {

namespace {
void check(Activation kind, const Tensor& x, const Tensor& y) {
  CHECK_EQ(x.rows(), y.rows());
  CHECK_EQ(x.columns(), (gated(kind) ? 2 : 1) * y.columns());
  CHECK(x.dtype == y.dtype);
  CHECK(x.dense() && y.dense());
}
}  // namespace

void activation(const Context& ctx, Activation kind, const Tensor& x, Tensor y) {
  const device::Span span(ctx, "activation", 0, x.bytes() + y.bytes());
  check(kind, x, y);
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).activation[static_cast<std::size_t>(kind)][index(y.dtype)];
  ctx.pool->split(y.rows(), kRowGrain, [&](std::int64_t b, std::int64_t e) {
    run({.x = row(x, b), .y = row(y, b), .rows = e - b, .columns = y.columns()});
  });
}

void activation_backward(const Context& ctx, Activation kind, const Tensor& dy, const Tensor& x,
                         Tensor dx, Tensor* y) {
  const device::Span span(ctx, "activation backward", 0, dy.bytes() + 2 * x.bytes());
  check(kind, x, dy);
  check_alike(x, dx);
  CHECK(dx.dense());
  if (y != nullptr) check(kind, x, *y);
  if (ctx.is_meta()) return;
  const auto run =
      cpu::table(ctx).activation_backward[static_cast<std::size_t>(kind)][index(dy.dtype)];
  ctx.pool->split(dy.rows(), kRowGrain, [&](std::int64_t b, std::int64_t e) {
    run({.x = row(x, b),
         .dy = row(dy, b),
         .dx = row(dx, b),
         .y = y == nullptr ? nullptr : row(*y, b),
         .rows = e - b,
         .columns = dy.columns()});
  });
}

}  // namespace boreal::kernels
