#include <cmath>
#include <vector>

#include "kernels/operands.h"

namespace boreal::kernels {

void softmax_sums(const Context& ctx, const Tensor& logits, const Tensor& target,
                  std::int64_t first, Tensor max, Tensor sum, Tensor picked,
                  const LossOptions& options, Tensor* dot) {
  const device::Span span(ctx, "softmax_sums", 0, logits.bytes());
  CHECK_EQ(target.elements(), logits.rows());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).softmax_sums;
  const auto cap_row = cpu::table(ctx).cap_row;
  const auto cap = static_cast<float>(options.soft_cap);
  ctx.pool->split(logits.rows(), 1, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t r = b; r < e; ++r) {
      const float* at = floats(logits) + r * logits.row_stride;
      run({.logits = at,
           .columns = logits.columns(),
           .cap = cap,
           .max = floats(max) + r,
           .sum = floats(sum) + r,
           .dot = dot == nullptr ? nullptr : floats(dot) + r});
      const std::int64_t here = ids(target)[r] - first;
      float logit = here >= 0 && here < logits.columns() ? at[here] : 0.0F;
      if (cap > 0) cap_row(&logit, 1, cap);  // the bits that soft_cap() gives
      floats(picked)[r] = logit;
    }
  });
}

void rescale_sums(const Context& ctx, const Tensor& own_max, const Tensor& max, Tensor sum,
                  Tensor* dot) {
  const device::Span span(ctx, "rescale_sums", 0, 2 * sum.bytes());
  if (ctx.is_meta()) return;
  for (std::int64_t r = 0; r < sum.elements(); ++r) {
    const float down = floats(own_max)[r] - floats(max)[r];
    if (dot != nullptr) floats(dot)[r] = (floats(dot)[r] + down * floats(sum)[r]) * std::exp(down);
    floats(sum)[r] *= std::exp(down);
  }
}

void cross_entropy_loss(const Context& ctx, const Tensor& max, const Tensor& sum,
                        const Tensor& picked, Tensor loss, Tensor lse) {
  const device::Span span(ctx, "cross_entropy loss", 0, 5 * loss.bytes());
  if (ctx.is_meta()) return;
  for (std::int64_t r = 0; r < loss.elements(); ++r) {
    floats(lse)[r] = floats(max)[r] + std::log(floats(sum)[r]);
    floats(loss)[r] = floats(lse)[r] - floats(picked)[r];
  }
}

void softmax_entropy(const Context& ctx, const Tensor& sum, const Tensor& dot, Tensor entropy) {
  if (ctx.is_meta()) return;
  for (std::int64_t r = 0; r < entropy.elements(); ++r)
    floats(entropy)[r] = std::log(floats(sum)[r]) - floats(dot)[r] / floats(sum)[r];
}

void cross_entropy_gradient(const Context& ctx, const Tensor& logits, const Tensor& target,
                            std::int64_t first, const Tensor& seed, const Tensor& lse,
                            Tensor dlogits, const LossOptions& options) {
  const device::Span span(ctx, "cross_entropy gradient", 0, logits.bytes() + dlogits.bytes());
  CHECK_EQ(target.elements(), logits.rows());
  CHECK_EQ(dlogits.columns(), logits.columns());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).softmax_gradient[index(dlogits.dtype)];
  ctx.pool->split(logits.rows(), 1, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t r = b; r < e; ++r)
      run({.logits = floats(logits) + r * logits.row_stride,
           .columns = logits.columns(),
           .cap = static_cast<float>(options.soft_cap),
           .target = ids(target)[r] - first,
           .lse = floats(lse)[r],
           .spread = 1 + 2 * static_cast<float>(options.z_loss) * floats(lse)[r],
           .seed = floats(seed)[r],
           .dlogits = row(dlogits, r)});
  });
}

Tensor over_logits(const Tensor& logits, DType dtype, std::int64_t columns) {
  const auto ratio = static_cast<std::int64_t>(bytes_of(DType::f32) / bytes_of(dtype));
  CHECK(logits.dtype == DType::f32 && columns <= logits.columns() * ratio);
  Tensor view(logits.data, dtype, tensor::Shape{logits.rows(), columns});
  view.row_stride = logits.row_stride * ratio;
  return view;
}

void cross_entropy(const Context& ctx, const Tensor& logits, const Tensor& target,
                   const Tensor& seed, Tensor loss, Tensor lse, Tensor* dlogits,
                   const LossOptions& options, Tensor* entropy) {
  std::vector<float> max(static_cast<std::size_t>(logits.rows()));
  const Tensor largest(max.data(), DType::f32, loss.shape);
  softmax_sums(ctx, logits, target, 0, largest, lse, loss, options, entropy);
  if (entropy != nullptr) softmax_entropy(ctx, lse, *entropy, *entropy);
  cross_entropy_loss(ctx, largest, lse, loss, loss, lse);
  if (dlogits != nullptr)
    cross_entropy_gradient(ctx, logits, target, 0, seed, lse, *dlogits, options);
}

void soft_cap(const Context& ctx, Tensor x, double cap) {
  const device::Span span(ctx, "soft_cap", 0, 2 * x.bytes());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).cap_row;
  ctx.pool->split(x.rows(), 1, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t r = b; r < e; ++r)
      run(floats(x) + r * x.row_stride, x.columns(), static_cast<float>(cap));
  });
}

}  // namespace boreal::kernels
