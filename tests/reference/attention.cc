#include "tests/reference/attention.h"

#include <cmath>

#include "tests/reference/operations.h"

namespace boreal::reference {

namespace {

bool sees(const AttentionHeads& shape, const std::vector<std::int64_t>& document,
          std::int64_t query, std::int64_t key) {
  return key <= query && (shape.window == 0 || query - key < shape.window) &&
         document[static_cast<std::size_t>(query)] == document[static_cast<std::size_t>(key)];
}

double scale_of(const AttentionHeads& shape, std::int64_t dim) {
  return shape.scale > 0 ? shape.scale : 1 / std::sqrt(static_cast<double>(dim));
}

// P of one head, zero where the key is not seen; lse of each query; s', the slope of the cap.
struct Weights {
  Matrix p, slope;
  std::vector<double> lse;
};

Weights weights(const AttentionHeads& shape, std::int64_t h,
                const std::vector<std::int64_t>& document, const Matrix& q, const Matrix& k) {
  Matrix score = matmul(q, transpose(k));
  Weights out{Matrix(q.rows, k.rows), Matrix(q.rows, k.rows, 1),
              std::vector<double>(static_cast<std::size_t>(q.rows))};
  for (std::int64_t i = 0; i < q.rows; ++i) {
    double max = -INFINITY;
    for (std::int64_t j = 0; j < k.rows; ++j) {
      if (!sees(shape, document, i, j)) continue;
      double& s = score(i, j);
      s *= scale_of(shape, q.columns);
      if (shape.soft_cap > 0) {
        const double t = std::tanh(s / shape.soft_cap);
        s = shape.soft_cap * t;
        out.slope(i, j) = 1 - t * t;
      }
      if (!shape.alibi_slopes.empty())
        s -= shape.alibi_slopes[static_cast<std::size_t>(h)] * static_cast<double>(i - j);
      max = std::max(max, s);
    }
    double sum = 0;
    for (std::int64_t j = 0; j < k.rows; ++j)
      if (sees(shape, document, i, j)) sum += std::exp(score(i, j) - max);
    out.lse[static_cast<std::size_t>(i)] = max + std::log(sum);
    for (std::int64_t j = 0; j < k.rows; ++j)
      if (sees(shape, document, i, j)) out.p(i, j) = std::exp(score(i, j) - max) / sum;
  }
  return out;
}

Matrix head(const Matrix& x, std::int64_t h, std::int64_t dim) {
  return columns_of(x, h * dim, (h + 1) * dim);
}

void add_head(Matrix& x, std::int64_t h, const Matrix& part) {
  for (std::int64_t r = 0; r < part.rows; ++r)
    for (std::int64_t c = 0; c < part.columns; ++c) x(r, h * part.columns + c) += part(r, c);
}

}  // namespace

AttentionResult attention(const AttentionHeads& shape, const std::vector<std::int64_t>& document,
                          const Matrix& q, const Matrix& k, const Matrix& v) {
  const std::int64_t dim = q.columns / shape.heads;
  AttentionResult out{Matrix(q.rows, q.columns), Matrix(shape.heads, q.rows)};
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    const std::int64_t kv = h / (shape.heads / shape.kv_heads);
    const Weights w = weights(shape, h, document, head(q, h, dim), head(k, kv, dim));
    add_head(out.o, h, matmul(w.p, head(v, kv, dim)));
    for (std::int64_t r = 0; r < q.rows; ++r) out.lse(h, r) = w.lse[static_cast<std::size_t>(r)];
  }
  return out;
}

AttentionGradients attention_backward(const AttentionHeads& shape,
                                      const std::vector<std::int64_t>& document, const Matrix& q,
                                      const Matrix& k, const Matrix& v, const Matrix& d_o) {
  const std::int64_t dim = q.columns / shape.heads;
  const double scale = scale_of(shape, dim);
  AttentionGradients d{Matrix(q.rows, q.columns), Matrix(k.rows, k.columns),
                       Matrix(v.rows, v.columns)};
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    const std::int64_t kv = h / (shape.heads / shape.kv_heads);
    const Weights w = weights(shape, h, document, head(q, h, dim), head(k, kv, dim));
    const Matrix& p = w.p;
    const Matrix dp = matmul(head(d_o, h, dim), transpose(head(v, kv, dim)));
    Matrix ds(p.rows, p.columns);
    for (std::int64_t i = 0; i < p.rows; ++i) {
      double inner = 0;
      for (std::int64_t j = 0; j < p.columns; ++j) inner += p(i, j) * dp(i, j);
      for (std::int64_t j = 0; j < p.columns; ++j)
        ds(i, j) = p(i, j) * (dp(i, j) - inner) * w.slope(i, j) * scale;
    }
    add_head(d.dq, h, matmul(ds, head(k, kv, dim)));
    add_head(d.dk, kv, matmul(transpose(ds), head(q, h, dim)));
    add_head(d.dv, kv, matmul(transpose(p), head(d_o, h, dim)));
  }
  return d;
}

}  // namespace boreal::reference
