// Slow twin of attention: the whole T x T matrix of weights, in double (Vaswani et al. 2017;
// grouped queries: Ainslie et al. 2023). Query i of head h sees key j of head h / (heads /
// kv_heads) if both are of one document and j <= i:
//
//   P[i][j] = softmax over the visible j of q[i] . k[j] / sqrt(dim),   o[i] = sum over j of P[i][j]
//   v[j]
//
// Thread rule: pure functions.
#pragma once

#include "tests/reference/matrix.h"

namespace boreal::reference {

struct AttentionHeads {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
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

// With dP[i][j] = do[i] . v[j]: dS = P (dP - sum over j of P dP), dq = dS k / sqrt(dim),
// dk = dS^T q / sqrt(dim), dv = P^T do.
AttentionGradients attention_backward(const AttentionHeads& shape,
                                      const std::vector<std::int64_t>& document, const Matrix& q,
                                      const Matrix& k, const Matrix& v, const Matrix& d_o);

}  // namespace boreal::reference
