// What ops.h's implementations share: typed pointers into tensors, and checks of shapes. Thread
// rule: pure functions.
#pragma once

#include <cstddef>

#include "kernels/cpu/dispatch.h"
#include "kernels/ops.h"

namespace boreal::kernels {

using cpu::index;

inline float* floats(const Tensor& t) {
  CHECK(t.dtype == DType::f32);
  return static_cast<float*>(t.data);
}
inline float* floats(const Tensor* t) {
  return t == nullptr ? nullptr : floats(*t);
}
inline const std::int32_t* ids(const Tensor& t) {
  CHECK(t.dtype == DType::i32);
  return static_cast<const std::int32_t*>(t.data);
}
inline std::byte* row(const Tensor& t, std::int64_t r) {
  return static_cast<std::byte*>(t.data) +
         r * t.row_stride * static_cast<std::int64_t>(bytes_of(t.dtype));
}

inline void check_alike(const Tensor& a, const Tensor& b) {
  CHECK(a.rows() == b.rows() && a.columns() == b.columns(), "{} against {}", a.shape.text(),
        b.shape.text());
  CHECK(a.dtype == b.dtype);
}

// Rows that a thread takes at least.
inline constexpr std::int64_t kRowGrain = 4;
inline constexpr std::int64_t kColumnGrain = 64;

}  // namespace boreal::kernels
