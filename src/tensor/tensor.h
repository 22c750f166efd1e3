// Tensor: a view of memory that somebody else owns: pointer, dtype, shape, row stride, device. At
// most four dims, all dense but for the stride between the rows (the second-last dim), so a slice
// of columns is a view too. On the meta device data is null and only the shape counts. Thread rule:
// a value; the memory under it has its own rules.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/check.h"
#include "base/dtype.h"

namespace boreal::tensor {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);

  std::int64_t rank() const { return rank_; }
  std::int64_t operator[](std::int64_t dim) const;
  // Product of all dims; 1 for rank 0.
  std::int64_t elements() const;
  // Elements of the last dim; 1 for rank 0.
  std::int64_t columns() const {
    return rank_ == 0 ? 1 : dims_[static_cast<std::size_t>(rank_ - 1)];
  }
  // elements() / columns().
  std::int64_t rows() const;
  std::string text() const;  // "[512, 256]"
  bool operator==(const Shape&) const = default;

 private:
  std::array<std::int64_t, 4> dims_{};
  std::int64_t rank_ = 0;
};

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  std::int64_t row_stride = 0;  // elements between rows; equal to columns() when dense

  Tensor() = default;
  Tensor(void* memory, DType type, Shape dims)
      : data(memory), dtype(type), shape(dims), row_stride(dims.columns()) {}

  std::int64_t rows() const { return shape.rows(); }
  std::int64_t columns() const { return shape.columns(); }
  std::int64_t elements() const { return shape.elements(); }
  std::int64_t bytes() const { return elements() * static_cast<std::int64_t>(bytes_of(dtype)); }
  bool dense() const { return row_stride == columns() || rows() <= 1; }

  // Rows [begin, end) / columns [begin, end) of the matrix [rows, columns]; the result has rank 2.
  Tensor row_slice(std::int64_t begin, std::int64_t end) const;
  Tensor column_slice(std::int64_t begin, std::int64_t end) const;
  // The same elements under another shape; requires dense().
  Tensor reshaped(Shape dims) const;
};

}  // namespace boreal::tensor
