// Matrix: a plain row-major table of doubles, the only type of the slow twins. A vector is a matrix
// of one row. Nothing here is clever: each function is its textbook formula. Thread rule: values.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/check.h"

namespace boreal::reference {

struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(std::int64_t row_count, std::int64_t column_count, double fill = 0)
      : rows(row_count),
        columns(column_count),
        values(static_cast<std::size_t>(row_count * column_count), fill) {}

  double& operator()(std::int64_t r, std::int64_t c) { return values[index(r, c)]; }
  double operator()(std::int64_t r, std::int64_t c) const { return values[index(r, c)]; }

  bool same_shape(const Matrix& other) const {
    return rows == other.rows && columns == other.columns;
  }

 private:
  std::size_t index(std::int64_t r, std::int64_t c) const {
    CHECK(0 <= r && r < rows && 0 <= c && c < columns, "({}, {}) of {} x {}", r, c, rows, columns);
    return static_cast<std::size_t>(r * columns + c);
  }
};

// C[i][j] = sum over k of A[i][k] B[k][j].
Matrix matmul(const Matrix& a, const Matrix& b);
Matrix transpose(const Matrix& a);
Matrix operator+(const Matrix& a, const Matrix& b);
// Adds the 1 x columns matrix to every row.
Matrix add_to_rows(const Matrix& a, const Matrix& row);
// 1 x columns: the sum of each column.
Matrix column_sums(const Matrix& a);
// Columns [begin, end).
Matrix columns_of(const Matrix& a, std::int64_t begin, std::int64_t end);
// a | b.
Matrix beside(const Matrix& a, const Matrix& b);

double largest(const Matrix& a);
// Sum of products of the elements of two matrices: the scalar whose gradient by y is dy.
double dot(const Matrix& a, const Matrix& b);

// Gradient of f at x by central differences, element by element: (f(x + h) - f(x - h)) / 2h.
Matrix numeric_gradient(const std::function<double(const Matrix&)>& f, const Matrix& x,
                        double h = 1e-5);

}  // namespace boreal::reference
