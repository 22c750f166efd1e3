#include "tests/reference/matrix.h"

#include <algorithm>
#include <cmath>

namespace boreal::reference {

Matrix matmul(const Matrix& a, const Matrix& b) {
  CHECK_EQ(a.columns, b.rows);
  Matrix c(a.rows, b.columns);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t k = 0; k < a.columns; ++k) {
      const double factor = a(i, k);
      const double* from = b.values.data() + k * b.columns;
      double* to = c.values.data() + i * c.columns;
      for (std::int64_t j = 0; j < b.columns; ++j) to[j] += factor * from[j];
    }
  return c;
}

Matrix transpose(const Matrix& a) {
  Matrix b(a.columns, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < a.columns; ++j) b(j, i) = a(i, j);
  return b;
}

Matrix operator+(const Matrix& a, const Matrix& b) {
  CHECK(a.same_shape(b));
  Matrix c = a;
  for (std::size_t i = 0; i < c.values.size(); ++i) c.values[i] += b.values[i];
  return c;
}

Matrix add_to_rows(const Matrix& a, const Matrix& row) {
  CHECK_EQ(a.columns, row.columns);
  Matrix c = a;
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < a.columns; ++j) c(i, j) += row(0, j);
  return c;
}

Matrix column_sums(const Matrix& a) {
  Matrix sum(1, a.columns);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < a.columns; ++j) sum(0, j) += a(i, j);
  return sum;
}

Matrix columns_of(const Matrix& a, std::int64_t begin, std::int64_t end) {
  Matrix part(a.rows, end - begin);
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = begin; j < end; ++j) part(i, j - begin) = a(i, j);
  return part;
}

Matrix beside(const Matrix& a, const Matrix& b) {
  CHECK_EQ(a.rows, b.rows);
  Matrix both(a.rows, a.columns + b.columns);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) both(i, j) = a(i, j);
    for (std::int64_t j = 0; j < b.columns; ++j) both(i, a.columns + j) = b(i, j);
  }
  return both;
}

double largest(const Matrix& a) {
  double most = 0;
  for (const double value : a.values) most = std::max(most, std::abs(value));
  return most;
}

double dot(const Matrix& a, const Matrix& b) {
  CHECK(a.same_shape(b));
  double sum = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) sum += a.values[i] * b.values[i];
  return sum;
}

Matrix numeric_gradient(const std::function<double(const Matrix&)>& f, const Matrix& x, double h) {
  Matrix gradient(x.rows, x.columns);
  Matrix moved = x;
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    moved.values[i] = x.values[i] + h;
    const double above = f(moved);
    moved.values[i] = x.values[i] - h;
    const double below = f(moved);
    moved.values[i] = x.values[i];
    gradient.values[i] = (above - below) / (2 * h);
  }
  return gradient;
}

}  // namespace boreal::reference
