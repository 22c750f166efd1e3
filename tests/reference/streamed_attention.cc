#include "tests/reference/streamed_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

namespace boreal::reference {

namespace {

constexpr std::int64_t kQueries = 64;
constexpr std::int64_t kKeys = 256;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BOREAL_WIDE
#else
#define BOREAL_WIDE [[gnu::target_clones("avx512f", "avx2", "default"), gnu::optimize("O3")]]
#endif

struct View {
  const double* at;
  std::int64_t row;     // elements from row to row
  std::int64_t column;  // and from column to column
};

// c[m, n] += a[m, k] b[k, n]; rows of b and c are dense. Four of k at a time, or most of the time
// would go into loading and storing c.
BOREAL_WIDE void add_product(std::int64_t m, std::int64_t n, std::int64_t k, View a,
                             const double* __restrict b, std::int64_t ldb, double* __restrict c,
                             std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) {
    const double* factor = a.at + i * a.row;
    double* __restrict to = c + i * ldc;
    std::int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
      const double f0 = factor[p * a.column], f1 = factor[(p + 1) * a.column];
      const double f2 = factor[(p + 2) * a.column], f3 = factor[(p + 3) * a.column];
      const double* __restrict from = b + p * ldb;
      for (std::int64_t j = 0; j < n; ++j)
        to[j] +=
            f0 * from[j] + f1 * from[ldb + j] + f2 * from[2 * ldb + j] + f3 * from[3 * ldb + j];
    }
    for (; p < k; ++p)
      for (std::int64_t j = 0; j < n; ++j) to[j] += factor[p * a.column] * b[p * ldb + j];
  }
}

// A head's columns of x: [rows, dim], dense, and their transpose.
struct Head {
  std::int64_t rows, dim;
  std::vector<double> values, transposed;

  Head(const Matrix& x, std::int64_t h, std::int64_t width, double factor = 1)
      : rows(x.rows), dim(width), values(static_cast<std::size_t>(x.rows * width)) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < dim; ++c)
        values[static_cast<std::size_t>(r * dim + c)] = x(r, h * dim + c) * factor;
    transposed.resize(values.size());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < dim; ++c)
        transposed[static_cast<std::size_t>(c * rows + r)] =
            values[static_cast<std::size_t>(r * dim + c)];
  }
  const double* row(std::int64_t r) const { return values.data() + r * dim; }
  View view(std::int64_t r) const { return {row(r), dim, 1}; }
};

void add_to(Matrix& x, std::int64_t h, std::int64_t dim, const std::vector<double>& part) {
  for (std::int64_t r = 0; r < x.rows; ++r)
    for (std::int64_t c = 0; c < dim; ++c)
      x(r, h * dim + c) += part[static_cast<std::size_t>(r * dim + c)];
}

using Tile = std::vector<double>;  // [kQueries, kKeys]

// Calls visit(first query, queries, first key, keys, products of a's rows and b's) for the tiles of
// which some pair is seen.
template <class Visit>
void over_tiles(const Head& a, const Head& b, Tile& tile, const Visit& visit) {
  for (std::int64_t i = 0; i < a.rows; i += kQueries)
    for (std::int64_t j = 0; j < std::min(b.rows, i + kQueries); j += kKeys) {
      const std::int64_t m = std::min(kQueries, a.rows - i);
      const std::int64_t n = std::min(kKeys, b.rows - j);
      std::ranges::fill(tile, 0);
      add_product(m, n, a.dim, a.view(i), b.transposed.data() + j, b.rows, tile.data(), kKeys);
      visit(i, m, j, n);
    }
}

struct Running {
  double max = -std::numeric_limits<double>::infinity();
  double sum = 0;
};

// q comes scaled. Writes o [rows, dim] and lse.
void forward(const Head& q, const Head& k, const Head& v, std::vector<double>& o, double* lse) {
  const std::int64_t dim = q.dim;
  std::vector<Running> running(static_cast<std::size_t>(q.rows));
  Tile tile(static_cast<std::size_t>(kQueries * kKeys));
  over_tiles(q, k, tile, [&](std::int64_t i, std::int64_t m, std::int64_t j, std::int64_t n) {
    for (std::int64_t r = 0; r < m; ++r) {
      double* score = tile.data() + r * kKeys;
      const std::int64_t seen = std::clamp<std::int64_t>(i + r + 1 - j, 0, n);
      Running& own = running[static_cast<std::size_t>(i + r)];
      const double max =
          seen == 0 ? own.max : std::max(own.max, *std::max_element(score, score + seen));
      const double shrink = std::exp(own.max - max);
      own.max = max;
      own.sum *= shrink;
      for (std::int64_t c = 0; c < dim; ++c)
        o[static_cast<std::size_t>((i + r) * dim + c)] *= shrink;
      for (std::int64_t c = 0; c < n; ++c) {
        score[c] = c < seen ? std::exp(score[c] - max) : 0;
        own.sum += score[c];
      }
    }
    add_product(m, dim, n, {tile.data(), kKeys, 1}, v.row(j), dim, o.data() + i * dim, dim);
  });
  for (std::int64_t r = 0; r < q.rows; ++r) {
    const Running& own = running[static_cast<std::size_t>(r)];
    lse[r] = own.max + std::log(own.sum);
    for (std::int64_t c = 0; c < dim; ++c) o[static_cast<std::size_t>(r * dim + c)] /= own.sum;
  }
}

struct HeadGradients {
  std::vector<double> dq, dk, dv;
};

// q comes scaled; dq is that of the scaled q.
void backward(const Head& q, const Head& k, const Head& v, const Head& o, const Head& d_o,
              const double* lse, HeadGradients& d) {
  const std::int64_t dim = q.dim;
  std::vector<double> inner(static_cast<std::size_t>(q.rows));
  for (std::int64_t r = 0; r < q.rows; ++r)
    for (std::int64_t c = 0; c < dim; ++c)
      inner[static_cast<std::size_t>(r)] += o.row(r)[c] * d_o.row(r)[c];
  for (auto* part : {&d.dq, &d.dk, &d.dv}) part->assign(static_cast<std::size_t>(q.rows * dim), 0);
  Tile p(static_cast<std::size_t>(kQueries * kKeys));
  Tile ds(p.size());
  over_tiles(q, k, p, [&](std::int64_t i, std::int64_t m, std::int64_t j, std::int64_t n) {
    std::ranges::fill(ds, 0);
    add_product(m, n, dim, d_o.view(i), v.transposed.data() + j, v.rows, ds.data(), kKeys);
    for (std::int64_t r = 0; r < m; ++r)
      for (std::int64_t c = 0; c < n; ++c) {
        double& weight = p[static_cast<std::size_t>(r * kKeys + c)];
        double& slope = ds[static_cast<std::size_t>(r * kKeys + c)];
        weight = j + c <= i + r ? std::exp(weight - lse[i + r]) : 0;
        slope = weight * (slope - inner[static_cast<std::size_t>(i + r)]);
      }
    add_product(m, dim, n, {ds.data(), kKeys, 1}, k.row(j), dim, d.dq.data() + i * dim, dim);
    add_product(n, dim, m, {ds.data(), 1, kKeys}, q.row(i), dim, d.dk.data() + j * dim, dim);
    add_product(n, dim, m, {p.data(), 1, kKeys}, d_o.row(i), dim, d.dv.data() + j * dim, dim);
  });
}

template <class Body>
void on_threads(std::int64_t heads, const Body& body) {
  std::vector<std::thread> threads;
  for (std::int64_t h = 0; h < heads; ++h) threads.emplace_back([&body, h] { body(h); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

AttentionResult streamed_attention(const AttentionHeads& shape, const Matrix& q, const Matrix& k,
                                   const Matrix& v) {
  const std::int64_t dim = q.columns / shape.heads;
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  AttentionResult out{Matrix(q.rows, q.columns), Matrix(shape.heads, q.rows)};
  std::vector<std::vector<double>> o(static_cast<std::size_t>(shape.heads));
  on_threads(shape.heads, [&](std::int64_t h) {
    const std::int64_t kv = h / (shape.heads / shape.kv_heads);
    auto& own = o[static_cast<std::size_t>(h)];
    own.assign(static_cast<std::size_t>(q.rows * dim), 0);
    forward(Head(q, h, dim, scale), Head(k, kv, dim), Head(v, kv, dim), own,
            out.lse.values.data() + h * q.rows);
  });
  for (std::int64_t h = 0; h < shape.heads; ++h)
    add_to(out.o, h, dim, o[static_cast<std::size_t>(h)]);
  return out;
}

AttentionGradients streamed_attention_backward(const AttentionHeads& shape, const Matrix& q,
                                               const Matrix& k, const Matrix& v,
                                               const AttentionResult& forward, const Matrix& d_o) {
  const std::int64_t dim = q.columns / shape.heads;
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  std::vector<HeadGradients> parts(static_cast<std::size_t>(shape.heads));
  on_threads(shape.heads, [&](std::int64_t h) {
    const std::int64_t kv = h / (shape.heads / shape.kv_heads);
    HeadGradients& own = parts[static_cast<std::size_t>(h)];
    backward(Head(q, h, dim, scale), Head(k, kv, dim), Head(v, kv, dim), Head(forward.o, h, dim),
             Head(d_o, h, dim), forward.lse.values.data() + h * q.rows, own);
    for (double& value : own.dq) value *= scale;
  });
  AttentionGradients d{Matrix(q.rows, q.columns), Matrix(k.rows, k.columns),
                       Matrix(v.rows, v.columns)};
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    const std::int64_t kv = h / (shape.heads / shape.kv_heads);
    const HeadGradients& own = parts[static_cast<std::size_t>(h)];
    add_to(d.dq, h, dim, own.dq);
    add_to(d.dk, kv, dim, own.dk);
    add_to(d.dv, kv, dim, own.dv);
  }
  return d;
}

}  // namespace boreal::reference
