// Operations on activations beside matrix products and attention. Activations are [rows, columns]
// of fp32 or bf16; weights of norms, biases and all gradients of parameters are fp32. Arithmetic is
// fp32. A row's result depends on that row alone; sums over rows run in row order whatever the
// number of threads. On the meta device the calls only check shapes. Slow twins: tests/reference/.
// Thread rule: the thread that owns ctx.pool.
#pragma once

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::kernels {

using device::Context;
using tensor::Tensor;

// y = x / sqrt(mean(x^2) + eps) * w. rstd fp32 [rows] or null.
void rms_norm(const Context& ctx, const Tensor& x, const Tensor& w, Tensor y, Tensor* rstd,
              double eps);
// dx = dres + gradient through the norm (dres may be null).
void rms_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                       const Tensor& rstd, const Tensor* dres, Tensor dx);
// dw += ...
void rms_norm_weight(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& rstd,
                     Tensor dw);

// y = (x - mean) * rstd * w + b. mean and rstd fp32 [rows] or null.
void layer_norm(const Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, Tensor y,
                Tensor* mean, Tensor* rstd, double eps);
void layer_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                         const Tensor& mean, const Tensor& rstd, const Tensor* dres, Tensor dx);
void layer_norm_weight(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& mean,
                       const Tensor& rstd, Tensor dw, Tensor db);

// In place on [rows, heads * dim] (any row stride). cos_sin fp32 [positions, dim]: cosines of dim /
// 2 angles, then sines.
enum class Rotation { forward, backward };
void rope(const Context& ctx, Tensor x, const Tensor& position, const Tensor& cos_sin,
          std::int64_t heads, Rotation rotation);
// Fills cos_sin for the base theta.
void rope_table(const Context& ctx, double theta, Tensor cos_sin);

// y = silu(gate) * up, gate_up [rows, 2 * ffn] = gate | up.
void swiglu(const Context& ctx, const Tensor& gate_up, Tensor y);
void swiglu_backward(const Context& ctx, const Tensor& dy, const Tensor& gate_up, Tensor d_gate_up);
// GELU by tanh.
void gelu(const Context& ctx, const Tensor& x, Tensor y);
void gelu_backward(const Context& ctx, const Tensor& dy, const Tensor& x, Tensor dx);

// y[r] (+)= table[id[r]]. The table holds rows [first, first + table.rows()) of a larger one; other
// ids give zeros. That ids are in the larger one is checked by who makes the batch.
void gather_rows(const Context& ctx, const Tensor& table, const Tensor& id, bool accumulate,
                 Tensor y, std::int64_t first = 0);
// grad[id[r]] += dy[r], rows in order; ids outside grad's rows, as above, are left out.
void scatter_rows(const Context& ctx, const Tensor& dy, const Tensor& id, Tensor grad,
                  std::int64_t first = 0);
// sum[c] += over rows of x.
void column_sum(const Context& ctx, const Tensor& x, Tensor sum);
// dst[row + r] = src[r] for each of the listed destination rows.
void copy_rows(const Context& ctx, const Tensor& src, const Tensor& dst_row, Tensor dst);

// Cross-entropy of rows of fp32 logits whose columns [first, first + columns) lie here and the
// rest, if any, on other ranks: the two sums are combined between the calls.
// For each row: the largest logit here, sum of exp(logit - largest), and the target's logit, 0 if
// it is not here. All fp32 [rows].
void softmax_sums(const Context& ctx, const Tensor& logits, const Tensor& target,
                  std::int64_t first, Tensor max, Tensor sum, Tensor picked);
// sum *= exp(own_max - max): the sums of all ranks relative to the largest of all.
void rescale_sums(const Context& ctx, const Tensor& own_max, const Tensor& max, Tensor sum);
// lse = max + log(sum); loss = lse - picked = -log softmax(logits)[target].
void cross_entropy_loss(const Context& ctx, const Tensor& max, const Tensor& sum,
                        const Tensor& picked, Tensor loss, Tensor lse);
// dlogits = (softmax - onehot) * seed[r].
void cross_entropy_gradient(const Context& ctx, const Tensor& logits, const Tensor& target,
                            std::int64_t first, const Tensor& seed, const Tensor& lse,
                            Tensor dlogits);
// All of it where all columns are here; dlogits may be null.
void cross_entropy(const Context& ctx, const Tensor& logits, const Tensor& target,
                   const Tensor& seed, Tensor loss, Tensor lse, Tensor* dlogits);

void fill_zero(const Context& ctx, Tensor x);
// Conversion between fp32 and bf16, or a copy.
void convert(const Context& ctx, const Tensor& x, Tensor y);

// Sum of weight * x over fp32 vectors, in double and in order. 0 on the meta device.
double weighted_sum(const Context& ctx, const Tensor& x, const Tensor& weight);
// Sum of squares of a fp32 vector, in double; cut into fixed pieces, so it does not depend on the
// number of threads.
double sum_squares(const Context& ctx, const Tensor& x);

struct AdamStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0;
  double grad_scale = 1;  // clip factor
  std::int64_t step = 1;  // 1-based, for the bias correction
};
// One sweep over fp32 vectors of equal length.
void adamw(const Context& ctx, Tensor master, const Tensor& grad, Tensor m, Tensor v,
           const AdamStep& step);

}  // namespace boreal::kernels
