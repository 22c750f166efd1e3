// Operations that some model families need beside those of ops.h, by the same rules: activations
// fp32 or bf16, arithmetic fp32, a row's result depends on that row alone, nothing is computed on
// the meta device. Slow twins: tests/reference/operations.h.
// Thread rule: the thread that owns ctx.pool.
#pragma once

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::kernels {

using device::Context;
using tensor::Tensor;

// y = x * factor + offset; y may be x.
void affine(const Context& ctx, const Tensor& x, double factor, double offset, Tensor y);
// y = a + b; y may be either.
void add(const Context& ctx, const Tensor& a, const Tensor& b, Tensor y);

// RMSNorm of heads in three steps, so that a norm over more heads than lie here can sum over the
// ranks between them. Activations are [rows, groups * width], any row stride; w fp32 [width] is
// shared by the groups; sums and rstd fp32 [rows, groups].
// sums = sum of squares.
void head_squares(const Context& ctx, const Tensor& x, Tensor sums);
// In place: sum of squares of `count` elements -> 1 / sqrt(mean + eps).
void head_scales(const Context& ctx, Tensor sums, double count, double eps);
// y = x rstd w.
void head_norm(const Context& ctx, const Tensor& x, const Tensor& w, const Tensor& rstd, Tensor y);
// sums = sum of dy w x.
void head_dots(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w, Tensor sums);
// dx = (dy w - x sums rstd^2 / count) rstd; dx has x's row stride.
void head_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                        const Tensor& rstd, const Tensor& sums, double count, Tensor dx);
// dw += sum over rows and groups of dy x rstd.
void head_norm_weight(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& rstd,
                      Tensor dw);

}  // namespace boreal::kernels
