// Slow twin of attention: the whole T x T matrix of weights, in double (Vaswani et al. 2017;
// grouped queries: Ainslie et al. 2023). Query i of head h sees key j of head h / (heads /
// kv_heads) if both are of one document and j <= i:
//
//   P[i][j] = softmax over the visible j of s(q[i] . k[j] scale),   o[i] = sum over j of P[i][j]
//   v[j],   scale = 1 / sqrt(dim) unless it is given
//
// With a window j is visible if i - j < window; with a soft cap s(x) = cap tanh(x / cap), else x;
// with slopes (ALiBi, Press et al. 2022) s then loses slope[h] (i - j).
//
// Thread rule: pure functions.
#pragma once

#include "tests/reference/matrix.h"

namespace boreal::reference {

struct AttentionHeads {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  double scale = 0;
  std::int64_t window = 0;
  double soft_cap = 0;
  std::vector<double> alibi_slopes;  // empty: none
};

struct AttentionResult {
  Matrix o;    // [rows, heads * dim]
  Matrix lse;  // [heads, rows]: log of the sum of e^(scaled score)
};

struct AttentionGradients {
  Matrix dq, dk, dv;
};

// q [rows, heads * dim], k and v [rows, kv_heads * dim]; document[r] names the document of row r.
AttentionResult attention(const AttentionHeads& shape, const std::vector<std::int64_t>& document,
                          const Matrix& q, const Matrix& k, const Matrix& v);

// With dP[i][j] = do[i] . v[j]: dS = P (dP - sum over j of P dP) s' scale, s' = 1 - (s / cap)^2
// with a soft cap, else 1; dq = dS k, dk = dS^T q, dv = P^T do.
AttentionGradients attention_backward(const AttentionHeads& shape,
                                      const std::vector<std::int64_t>& document, const Matrix& q,
                                      const Matrix& k, const Matrix& v, const Matrix& d_o);

}  // namespace boreal::reference
