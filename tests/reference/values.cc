#include "tests/reference/values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/philox.h"

namespace boreal::reference {

using tensor::Shape;
using tensor::Tensor;

namespace {

double read(const std::byte* at, DType dtype) {
  if (dtype == DType::f32) {
    float value = 0;
    std::memcpy(&value, at, sizeof value);
    return static_cast<double>(value);
  }
  if (dtype == DType::bf16) {
    bf16_t value;
    std::memcpy(&value, at, sizeof value);
    return static_cast<double>(to_float(value));
  }
  CHECK(dtype == DType::i32);
  std::int32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void write(std::byte* at, DType dtype, double value) {
  const auto as_float = static_cast<float>(value);
  if (dtype == DType::f32) {
    std::memcpy(at, &as_float, sizeof as_float);
  } else {
    CHECK(dtype == DType::bf16);
    const bf16_t rounded = to_bf16(as_float);
    std::memcpy(at, &rounded, sizeof rounded);
  }
}

}  // namespace

Values::Values(DType dtype, Shape shape)
    : dtype_(dtype),
      shape_(shape),
      bytes_(static_cast<std::size_t>(shape.elements()) * bytes_of(dtype)) {}

Values::Values(DType dtype, const Matrix& matrix)
    : Values(dtype, Shape{matrix.rows, matrix.columns}) {
  for (std::int64_t r = 0; r < matrix.rows; ++r)
    for (std::int64_t c = 0; c < matrix.columns; ++c) set(r, c, matrix(r, c));
}

Values::Values(const std::vector<std::int64_t>& ids)
    : Values(DType::i32, Shape{static_cast<std::int64_t>(ids.size())}) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<std::int32_t>(ids[i]);
    std::memcpy(bytes_.data() + i * sizeof id, &id, sizeof id);
  }
}

Tensor Values::tensor() {
  return {bytes_.data(), dtype_, shape_};
}

Matrix Values::matrix() const {
  Matrix out(shape_.rows(), shape_.columns());
  for (std::size_t i = 0; i < out.values.size(); ++i)
    out.values[i] = read(bytes_.data() + i * bytes_of(dtype_), dtype_);
  return out;
}

void Values::set(std::int64_t row, std::int64_t column, double value) {
  const auto at = static_cast<std::size_t>(row * shape_.columns() + column);
  write(bytes_.data() + at * bytes_of(dtype_), dtype_, value);
}

Matrix random_matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                     double scale) {
  const Rng rng(7, "twin", name);
  Matrix out(rows, columns);
  for (std::size_t i = 0; i < out.values.size(); ++i) out.values[i] = scale * rng.normal(i);
  return out;
}

Values random_values(const std::string& name, DType dtype, Shape shape, double scale) {
  Values out(dtype, shape);
  const Matrix draws = random_matrix(name, shape.rows(), shape.columns(), scale);
  for (std::int64_t r = 0; r < draws.rows; ++r)
    for (std::int64_t c = 0; c < draws.columns; ++c) out.set(r, c, draws(r, c));
  return out;
}

std::vector<std::int64_t> random_ids(const std::string& name, std::int64_t count,
                                     std::int64_t below) {
  const Rng rng(11, "twin", name);
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int64_t>(rng.bits(static_cast<std::uint64_t>(i)) %
                                            static_cast<std::uint64_t>(below)));
  return ids;
}

Matrix matrix_of(const Tensor& tensor) {
  Matrix out(tensor.rows(), tensor.columns());
  const auto size = static_cast<std::int64_t>(bytes_of(tensor.dtype));
  for (std::int64_t r = 0; r < out.rows; ++r)
    for (std::int64_t c = 0; c < out.columns; ++c)
      out(r, c) =
          read(static_cast<const std::byte*>(tensor.data) + (r * tensor.row_stride + c) * size,
               tensor.dtype);
  return out;
}

std::vector<std::byte> bytes_of_tensor(const Tensor& tensor) {
  const auto row_bytes = static_cast<std::size_t>(tensor.columns()) * bytes_of(tensor.dtype);
  const auto stride = static_cast<std::size_t>(tensor.row_stride) * bytes_of(tensor.dtype);
  std::vector<std::byte> out(static_cast<std::size_t>(tensor.rows()) * row_bytes);
  for (std::size_t r = 0; r < static_cast<std::size_t>(tensor.rows()); ++r)
    std::memcpy(out.data() + r * row_bytes, static_cast<const std::byte*>(tensor.data) + r * stride,
                row_bytes);
  return out;
}

double relative_error(const Matrix& got, const Matrix& expected) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (!got.same_shape(expected)) return kInfinite;
  double worst = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double difference = std::abs(got.values[i] - expected.values[i]);
    if (!std::isfinite(difference)) return kInfinite;
    worst = std::max(worst, difference);
  }
  const double scale = largest(expected);
  return scale > 0 ? worst / scale : worst;
}

std::vector<Where> everywhere(const std::vector<DType>& dtypes) {
  std::vector<Where> all;
  for (const device::Isa isa : device::available_isas())
    for (const DType dtype : dtypes) all.push_back({isa, dtype});
  return all;
}

std::string name_of(const Where& where) {
  std::string name = fmt::format("{}_{}", device::name_of(where.isa), boreal::name_of(where.dtype));
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace boreal::reference
