// Values: memory of exactly a tensor's size with the tensor over it, filled from a twin's matrix or
// at random, and read back as one. The size is exact so that the address sanitizer sees a kernel
// that reads or writes past it. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "device/context.h"
#include "tensor/tensor.h"
#include "tests/reference/matrix.h"

namespace boreal::reference {

class Values {
 public:
  Values() = default;
  // Zeros.
  Values(DType dtype, tensor::Shape shape);
  // Rounded to dtype.
  Values(DType dtype, const Matrix& matrix);
  explicit Values(const std::vector<std::int64_t>& ids);  // int32

  tensor::Tensor tensor();
  // The values as the tensor holds them, i.e. rounded.
  Matrix matrix() const;
  const std::vector<std::byte>& bytes() const { return bytes_; }
  void set(std::int64_t row, std::int64_t column, double value);

 private:
  DType dtype_ = DType::f32;
  tensor::Shape shape_;
  std::vector<std::byte> bytes_;
};

// Normal draws times scale, a pure function of the name.
Matrix random_matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                     double scale = 1);
// Normal draws rounded to dtype.
Values random_values(const std::string& name, DType dtype, tensor::Shape shape, double scale = 1);
// Ids in [0, below), a pure function of the name.
std::vector<std::int64_t> random_ids(const std::string& name, std::int64_t count,
                                     std::int64_t below);

// Any tensor with any row stride, as a matrix / as the bytes of its rows.
Matrix matrix_of(const tensor::Tensor& tensor);
std::vector<std::byte> bytes_of_tensor(const tensor::Tensor& tensor);

// Largest difference, relative to the largest magnitude that is expected (infinite if one of them
// is not finite, or if shapes differ).
double relative_error(const Matrix& got, const Matrix& expected);

// What one operation on values of this dtype may differ from its twin: fp32 1e-5; bf16 one rounding
// of the result (2^-9) and one of an intermediate, both at twice the size of the largest value.
constexpr double tolerance(DType dtype) {
  return dtype == DType::f32 ? 1e-5 : 1.0 / 128;
}

// "avx2_fp32": names of parameterised tests.
struct Where {
  device::Isa isa;
  DType dtype;
};
// Every instruction set of this machine with each of the dtypes.
std::vector<Where> everywhere(const std::vector<DType>& dtypes = {DType::f32, DType::bf16});
std::string name_of(const Where& where);

}  // namespace boreal::reference
