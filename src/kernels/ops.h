// Operations on activations beside matrix products and attention. Activations are [rows, columns]
// of fp32 or bf16; weights of norms, biases and all gradients of parameters are fp32. Arithmetic is
// fp32. A row's result depends on that row alone; sums over rows run in an order that does not
// depend on the number of threads. bf16 results are rounded to nearest even on every instruction
// set, denormals and NaN too. On the meta device the calls only check shapes. Slow twins:
// tests/reference/. Thread rule: the thread that owns ctx.pool.
#pragma once

#include <span>

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::kernels {

using device::Context;
using tensor::Tensor;

// Norms. w [columns], or fewer that divide the columns: then each piece of a row of that length (a
// head) is normed by itself. Rows may be strided; y may be x.
struct NormOptions {
  // With it s = x + residual is normed instead of x, in the same pass; s is written to `sum`.
  const Tensor* residual = nullptr;
  Tensor sum;
  const Tensor* after = nullptr;  // y = norm + after
  double offset = 0;              // of the weight: gemma multiplies by 1 + w
};
// y = x / sqrt(mean(x^2) + eps) * w. rstd fp32 [rows * pieces] or null.
void rms_norm(const Context& ctx, const Tensor& x, const Tensor& w, Tensor y, Tensor* rstd,
              double eps, const NormOptions& options = {});
// y = (x - mean) * rstd * w + b. mean and rstd fp32 [rows * pieces] or null.
void layer_norm(const Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, Tensor y,
                Tensor* mean, Tensor* rstd, double eps, const NormOptions& options = {});

// Gradients of the weights, made in the pass that makes dx. Rows are taken in blocks of 64: each
// block's sum lies in `partials` for a while, blocks are added in order: dw += ..., whatever the
// number of threads. Cut after a multiple of 64 rows and accumulated, dw has the bits of the whole.
struct NormWeights {
  Tensor dw;
  Tensor db;        // LayerNorm
  Tensor partials;  // scratch of norm_partials()
};
tensor::Shape norm_partials(std::int64_t rows, const Tensor& w, bool bias);
// dx = dres + gradient through the norm; x is what was normed. dres may be null; dx may be dy or
// dres. weights may be null.
void rms_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                       const Tensor& rstd, const Tensor* dres, Tensor dx,
                       const NormWeights* weights = nullptr, double offset = 0);
void layer_norm_backward(const Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& w,
                         const Tensor& mean, const Tensor& rstd, const Tensor* dres, Tensor dx,
                         const NormWeights* weights = nullptr, double offset = 0);

// In place on [rows, heads * head_dim] (any row stride): the first dim features of each head turn,
// dim = cos_sin's columns. cos_sin fp32 [positions, dim]: cosines of dim / 2 angles, then sines.
enum class Rotation { forward, backward };
void rope(const Context& ctx, Tensor x, const Tensor& position, const Tensor& cos_sin,
          std::int64_t heads, Rotation rotation);
// Fills cos_sin: angle i of position p is p * frequency[i].
void rope_table(const Context& ctx, std::span<const float> frequency, Tensor cos_sin);

// gelu: by tanh; gelu_erf: exact. swiglu and geglu (GELU by tanh) take gate | up [rows, 2 ffn] and
// give f(gate) * up.
enum class Activation : std::uint8_t { gelu, gelu_erf, swiglu, geglu };
constexpr bool gated(Activation kind) {
  return kind == Activation::swiglu || kind == Activation::geglu;
}
void activation(const Context& ctx, Activation kind, const Tensor& x, Tensor y);
// With y also writes the forward's result again, to the bit: it need not be kept.
void activation_backward(const Context& ctx, Activation kind, const Tensor& dy, const Tensor& x,
                         Tensor dx, Tensor* y = nullptr);
inline void swiglu(const Context& ctx, const Tensor& gate_up, Tensor y) {
  activation(ctx, Activation::swiglu, gate_up, y);
}
inline void swiglu_backward(const Context& ctx, const Tensor& dy, const Tensor& gate_up,
                            Tensor d_gate_up) {
  activation_backward(ctx, Activation::swiglu, dy, gate_up, d_gate_up);
}
inline void gelu(const Context& ctx, const Tensor& x, Tensor y) {
  activation(ctx, Activation::gelu, x, y);
}
inline void gelu_backward(const Context& ctx, const Tensor& dy, const Tensor& x, Tensor dx) {
  activation_backward(ctx, Activation::gelu, dy, x, dx);
}

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
// rest, if any, on other ranks: the sums are combined between the calls. Positions that do not
// count are not among the rows.
struct LossOptions {
  double soft_cap = 0;  // logits are cap tanh(l / cap); 0: as they are
  // Adds z_loss * lse^2 to what is differentiated (Chowdhery et al. 2022), not to the loss
  // reported.
  double z_loss = 0;
};
// For each row: the largest logit here, sum of exp(logit - largest), the target's logit, 0 if it is
// not here; and, if not null, dot: the sum of exp(logit - largest) (logit - largest), which the
// entropy needs. One reading. All fp32 [rows].
void softmax_sums(const Context& ctx, const Tensor& logits, const Tensor& target,
                  std::int64_t first, Tensor max, Tensor sum, Tensor picked,
                  const LossOptions& options = {}, Tensor* dot = nullptr);
// Own sums relative to the largest logit of all ranks.
void rescale_sums(const Context& ctx, const Tensor& own_max, const Tensor& max, Tensor sum,
                  Tensor* dot = nullptr);
// lse = max + log(sum); loss = lse - picked = -log softmax(logits)[target].
void cross_entropy_loss(const Context& ctx, const Tensor& max, const Tensor& sum,
                        const Tensor& picked, Tensor loss, Tensor lse);
// log(sum) - dot / sum, in nats; entropy may be dot.
void softmax_entropy(const Context& ctx, const Tensor& sum, const Tensor& dot, Tensor entropy);
// dlogits = (softmax (1 + 2 z_loss lse) - onehot) * seed[r], times the slope of the cap. dlogits
// may be over_logits().
void cross_entropy_gradient(const Context& ctx, const Tensor& logits, const Tensor& target,
                            std::int64_t first, const Tensor& seed, const Tensor& lse,
                            Tensor dlogits, const LossOptions& options = {});
// The rows of fp32 logits as rows of `columns` values of dtype: the gradient in the same memory.
Tensor over_logits(const Tensor& logits, DType dtype, std::int64_t columns);
// All of it where all columns are here; dlogits and entropy may be null.
void cross_entropy(const Context& ctx, const Tensor& logits, const Tensor& target,
                   const Tensor& seed, Tensor loss, Tensor lse, Tensor* dlogits,
                   const LossOptions& options = {}, Tensor* entropy = nullptr);
// x = cap tanh(x / cap), fp32, in place.
void soft_cap(const Context& ctx, Tensor x, double cap);

// Rows may be strided.
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
// One sweep over fp32 vectors of equal length; it may zero the gradient and write the new values as
// bf16 (copy, may be null).
enum class Gradient { keep, zero };
void adamw(const Context& ctx, Tensor master, const Tensor& grad, Tensor m, Tensor v,
           const AdamStep& step, Gradient after = Gradient::keep, Tensor* copy = nullptr);

}  // namespace boreal::kernels
