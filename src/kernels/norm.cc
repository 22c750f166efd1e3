#include <algorithm>
#include <cstring>

#include "kernels/operands.h"

namespace boreal::kernels {

namespace {

constexpr std::int64_t kBlock = 64;  // of rows, in sums over rows

std::int64_t pieces(const Tensor& x, const Tensor& w) {
  CHECK(w.elements() > 0 && x.columns() % w.elements() == 0, "weight of {} on rows of {}",
        w.elements(), x.columns());
  return x.columns() / w.elements();
}

// Rows [begin, end).
cpu::NormArgs forward_args(const Tensor& x, const Tensor& w, const Tensor& y, double eps,
                           const NormOptions& options, std::int64_t begin, std::int64_t end) {
  const auto or_null = [&](const Tensor* t) { return t == nullptr ? nullptr : row(*t, begin); };
  const bool sums = options.residual != nullptr;
  return {.x = row(x, begin),
          .residual = or_null(options.residual),
          .sum = or_null(sums ? &options.sum : nullptr),
          .after = or_null(options.after),
          .y = row(y, begin),
          .ldx = x.row_stride,
          .ldr = sums ? options.residual->row_stride : 0,
          .lds = options.sum.row_stride,
          .lda = options.after == nullptr ? 0 : options.after->row_stride,
          .ldy = y.row_stride,
          .w = floats(w),
          .offset = static_cast<float>(options.offset),
          .rows = end - begin,
          .pieces = x.columns() / w.elements(),
          .columns = w.elements(),
          .eps = static_cast<float>(eps)};
}

void check_forward(const Tensor& x, const Tensor& y, const NormOptions& options) {
  check_alike(x, y);
  if (options.residual != nullptr) {
    check_alike(x, *options.residual);
    check_alike(x, options.sum);
  }
  if (options.after != nullptr) check_alike(x, *options.after);
}

struct Backward {
  cpu::NormBackwardArgs args;  // of all rows, without pointers into them
  const Tensor &dy, &x;
  const Tensor* dres;
  const Tensor& dx;
  const NormWeights* weights;
};

cpu::NormBackwardArgs rows_of(const Backward& all, std::int64_t begin, std::int64_t end) {
  cpu::NormBackwardArgs part = all.args;
  part.dy = row(all.dy, begin);
  part.x = row(all.x, begin);
  part.dres = all.dres == nullptr ? nullptr : row(*all.dres, begin);
  part.dx = row(all.dx, begin);
  part.rows = end - begin;
  part.rstd += begin * part.pieces;
  if (part.mean != nullptr) part.mean += begin * part.pieces;
  return part;
}

void run_backward(const Context& ctx, cpu::CpuTable::NormBackward run, const Backward& all) {
  const std::int64_t rows = all.x.rows();
  if (all.weights == nullptr) {
    ctx.pool->split(rows, kRowGrain,
                    [&](std::int64_t b, std::int64_t e) { run(rows_of(all, b, e)); });
    return;
  }
  const Tensor& partials = all.weights->partials;
  const std::int64_t width = all.args.columns;
  const std::int64_t blocks = (rows + kBlock - 1) / kBlock;
  const bool bias = all.args.mean != nullptr;
  ctx.pool->split(blocks, 1, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t block = b; block < e; ++block) {
      cpu::NormBackwardArgs part =
          rows_of(all, block * kBlock, std::min(rows, (block + 1) * kBlock));
      part.dw = floats(partials) + block * partials.columns();
      if (bias) part.db = part.dw + width;
      std::memset(part.dw, 0, static_cast<std::size_t>(partials.columns()) * sizeof(float));
      run(part);
    }
  });
  const auto add = cpu::table(ctx).column_sum[0];
  ctx.pool->split(width, kColumnGrain, [&](std::int64_t b, std::int64_t e) {
    add(partials.data, partials.columns(), blocks, b, e, floats(all.weights->dw));
    if (bias)
      add(floats(partials) + width, partials.columns(), blocks, b, e, floats(all.weights->db));
  });
}

void norm_backward(const Context& ctx, cpu::CpuTable::NormBackward (cpu::CpuTable::*kind)[2],
                   Backward all, const Tensor& w, const Tensor* mean, const Tensor& rstd,
                   double offset) {
  check_alike(all.dy, all.x);
  check_alike(all.x, all.dx);
  if (all.dres != nullptr) check_alike(all.x, *all.dres);
  if (all.weights != nullptr) {
    CHECK_EQ(all.weights->dw.elements(), w.elements());
    CHECK(all.weights->partials.shape == norm_partials(all.x.rows(), w, mean != nullptr));
  }
  const std::int64_t each = pieces(all.x, w);
  if (ctx.is_meta()) return;
  all.args = {.lddy = all.dy.row_stride,
              .ldx = all.x.row_stride,
              .lddres = all.dres == nullptr ? 0 : all.dres->row_stride,
              .lddx = all.dx.row_stride,
              .w = floats(w),
              .offset = static_cast<float>(offset),
              .mean = floats(mean),
              .rstd = floats(rstd),
              .pieces = each,
              .columns = w.elements()};
  run_backward(ctx, (cpu::table(ctx).*kind)[index(all.x.dtype)], all);
}

}  // namespace

void rms_norm(const Context& ctx, const Tensor& x, const Tensor& w, Tensor y, Tensor* rstd,
              double eps, const NormOptions& options) {
  const device::Span span(ctx, "rms_norm", 0, (options.residual == nullptr ? 2 : 4) * x.bytes());
  check_forward(x, y, options);
  const std::int64_t each = pieces(x, w);
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).rms_forward[index(x.dtype)];
  ctx.pool->split(x.rows(), kRowGrain, [&](std::int64_t b, std::int64_t e) {
    cpu::NormArgs args = forward_args(x, w, y, eps, options, b, e);
    if (rstd != nullptr) args.rstd = floats(rstd) + b * each;
    run(args);
  });
}

void layer_norm(const Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, Tensor y,
                Tensor* mean, Tensor* rstd, double eps, const NormOptions& options) {
  const device::Span span(ctx, "layer_norm", 0, (options.residual == nullptr ? 2 : 4) * x.bytes());
  check_forward(x, y, options);
  const std::int64_t each = pieces(x, w);
  CHECK_EQ(b.elements(), w.elements());
  if (ctx.is_meta()) return;
  const auto run = cpu::table(ctx).layer_forward[index(x.dtype)];
  ctx.pool->split(x.rows(), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    cpu::NormArgs args = forward_args(x, w, y, eps, options, begin, end);
    args.b = floats(b);
    if (mean != nullptr) args.mean = floats(mean) + begin * each;
    if (rstd != nullptr) args.rstd = floats(rstd) + begin * each;
    run(args);
  });
}

tensor::Shape norm_partials(std::int64_t rows, const Tensor& w, bool bias) {
  return {(rows + kBlock - 1) / kBlock, (bias ? 2 : 1) * w.elements()};
}

void rms_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                       const Tensor& rstd, const Tensor* dres, Tensor dx,
                       const NormWeights* weights, double offset) {
  const device::Span span(ctx, "rms_norm backward", 0, (dres == nullptr ? 3 : 4) * x.bytes());
  norm_backward(ctx, &cpu::CpuTable::rms_backward, {{}, dy, x, dres, dx, weights}, w, nullptr, rstd,
                offset);
}

void layer_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                         const Tensor& mean, const Tensor& rstd, const Tensor* dres, Tensor dx,
                         const NormWeights* weights, double offset) {
  const device::Span span(ctx, "layer_norm backward", 0, (dres == nullptr ? 3 : 4) * x.bytes());
  norm_backward(ctx, &cpu::CpuTable::layer_backward, {{}, dy, x, dres, dx, weights}, w, &mean, rstd,
                offset);
}

}  // namespace boreal::kernels
