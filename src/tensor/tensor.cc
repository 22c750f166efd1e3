#include "tensor/tensor.h"

#include <algorithm>

namespace boreal::tensor {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) : rank_(static_cast<std::int64_t>(dims.size())) {
  CHECK_LE(dims.size(), dims_.size());
  std::ranges::copy(dims, dims_.begin());
}

std::int64_t Shape::operator[](std::int64_t dim) const {
  CHECK_LT(dim, rank_);
  return dims_[static_cast<std::size_t>(dim)];
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (std::int64_t i = 0; i < rank_; ++i) product *= dims_[static_cast<std::size_t>(i)];
  return product;
}

std::int64_t Shape::rows() const {
  std::int64_t product = 1;
  for (std::int64_t i = 0; i + 1 < rank_; ++i) product *= dims_[static_cast<std::size_t>(i)];
  return product;
}

std::string Shape::text() const {
  std::string out = "[";
  for (std::int64_t i = 0; i < rank_; ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ", ", dims_[static_cast<std::size_t>(i)]);
  return out + "]";
}

Tensor Tensor::row_slice(std::int64_t begin, std::int64_t end) const {
  CHECK(0 <= begin && begin <= end && end <= rows(), "rows {}..{} of {}", begin, end, shape.text());
  Tensor part = *this;
  part.shape = Shape{end - begin, columns()};
  if (data != nullptr)
    part.data = static_cast<std::byte*>(data) +
                begin * row_stride * static_cast<std::int64_t>(bytes_of(dtype));
  return part;
}

Tensor Tensor::column_slice(std::int64_t begin, std::int64_t end) const {
  CHECK(0 <= begin && begin <= end && end <= columns(), "columns {}..{} of {}", begin, end,
        shape.text());
  Tensor part = *this;
  part.shape = Shape{rows(), end - begin};
  if (data != nullptr)
    part.data = static_cast<std::byte*>(data) + begin * static_cast<std::int64_t>(bytes_of(dtype));
  return part;
}

Tensor Tensor::reshaped(Shape dims) const {
  CHECK(dense());
  CHECK_EQ(dims.elements(), elements());
  Tensor other = *this;
  other.shape = dims;
  other.row_stride = dims.columns();
  return other;
}

}  // namespace boreal::tensor
