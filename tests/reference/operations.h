// Slow twins of the operations beside matrix products and attention, one equation each, in double.
// r is a row, c a column, n the number of columns. Thread rule: pure functions.
//
//   RMSNorm     y[c] = x[c] s w[c],  s = 1 / sqrt(mean(x^2) + eps)           (Zhang & Sennrich
//   2019) LayerNorm   y[c] = (x[c] - mean(x)) s w[c] + b[c],  s = 1 / sqrt(variance(x) + eps)
//                                                                     (Ba, Kiros & Hinton 2016)
//   rotary      (a, b) at (i, i + dim / 2) -> (a cos t - b sin t, b cos t + a sin t),
//               t = position f[i], f[i] = theta^(-2 i / dim) unless scaled   (Su et al. 2021)
//   SwiGLU      y = silu(gate) up,  silu(x) = x / (1 + e^-x)                 (Shazeer 2020)
//   GELU        y = x (1 + erf(x / sqrt(2))) / 2, or about that:
//               y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2        (Hendrycks & Gimpel
//               2016)
//   GeGLU       y = gelu(gate) up, by tanh                                   (Shazeer 2020)
//   loss        L[r] = lse - x[r][target],  lse = log(sum over c of e^x[r][c])
//   z-loss      z lse^2 is added to what is differentiated                   (Chowdhery et al.
//   2022) soft cap    x -> cap tanh(x / cap)                                       (Gemma Team
//   2024) AdamW       m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
//               w = w - lr decay w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
//                                                                     (Loshchilov & Hutter 2019)
#pragma once

#include "tests/reference/matrix.h"

namespace boreal::reference {

struct NormGradients {
  Matrix dx;
  Matrix dw;  // 1 x columns
  Matrix db;  // LayerNorm only
};

Matrix rms_norm(const Matrix& x, const Matrix& w, double eps);
NormGradients rms_norm_backward(const Matrix& dy, const Matrix& x, const Matrix& w, double eps);
Matrix layer_norm(const Matrix& x, const Matrix& w, const Matrix& b, double eps);
NormGradients layer_norm_backward(const Matrix& dy, const Matrix& x, const Matrix& w, double eps);

// x [rows, heads * dim]. direction 1 rotates, -1 rotates back: the transpose, hence the gradient.
Matrix rotary(const Matrix& x, const std::vector<std::int64_t>& position, std::int64_t heads,
              double theta, double direction);
// The same of the first 2 |frequency| features of each head; the others stay.
Matrix rotary(const Matrix& x, const std::vector<std::int64_t>& position, std::int64_t heads,
              const std::vector<double>& frequency, double direction);

// gate_up = gate | up.
Matrix swiglu(const Matrix& gate_up);
Matrix swiglu_backward(const Matrix& dy, const Matrix& gate_up);
Matrix gelu(const Matrix& x);
Matrix gelu_backward(const Matrix& dy, const Matrix& x);
Matrix gelu_erf(const Matrix& x);
Matrix gelu_erf_backward(const Matrix& dy, const Matrix& x);
Matrix geglu(const Matrix& gate_up);
Matrix geglu_backward(const Matrix& dy, const Matrix& gate_up);

// cap tanh(x / cap), and dy (1 - tanh(x / cap)^2).
Matrix soft_cap(const Matrix& x, double cap);
Matrix soft_cap_backward(const Matrix& dy, const Matrix& x, double cap);

// y[r] = table[id[r]], and its gradient: table rows that receive the sum of their dy.
Matrix gather(const Matrix& table, const std::vector<std::int64_t>& id);
Matrix scatter(const Matrix& dy, const std::vector<std::int64_t>& id, std::int64_t table_rows);

struct CrossEntropy {
  Matrix loss;     // 1 x rows
  Matrix lse;      // 1 x rows
  Matrix entropy;  // 1 x rows: -sum of p log p
  Matrix dlogits;  // of (L + z lse^2) seed[r]
};
struct LossTerms {
  double soft_cap = 0;  // 0: none
  double z_loss = 0;
};
CrossEntropy cross_entropy(const Matrix& logits, const std::vector<std::int64_t>& target,
                           const std::vector<double>& seed, const LossTerms& terms = {});

struct AdamW {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0, grad_scale = 1;
  double step = 1;  // 1-based
};
// Updates w, m and v.
void adamw(Matrix& w, const Matrix& g, Matrix& m, Matrix& v, const AdamW& options);

}  // namespace boreal::reference
