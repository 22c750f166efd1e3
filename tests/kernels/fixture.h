// Fixture of kernel tests: every test runs on every instruction set of this machine, in fp32 and
// bf16.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "device/context.h"
#include "tests/reference/values.h"

namespace boreal::kernels {

class KernelTest : public testing::TestWithParam<reference::Where> {
 protected:
  DType dtype() const { return GetParam().dtype; }
  double tolerance() const { return reference::tolerance(dtype()); }
  // bf16 products take k in pairs.
  std::int64_t even_k(std::int64_t k) const { return dtype() == DType::bf16 ? (k + 1) / 2 * 2 : k; }

  device::Context on(device::Pool& pool) const {
    device::Context ctx = device::cpu_context(pool);
    ctx.isa = GetParam().isa;
    return ctx;
  }
  device::Context ctx() { return on(one_thread_); }

  // Draws rounded to the test's dtype.
  reference::Values draw(const std::string& name, tensor::Shape shape, double scale = 1) const {
    return reference::random_values(name, dtype(), shape, scale);
  }

 private:
  device::Pool one_thread_{1};
};

inline std::string where_name(const testing::TestParamInfo<reference::Where>& info) {
  return reference::name_of(info.param);
}

}  // namespace boreal::kernels

#define BOREAL_EVERYWHERE(suite)                                                 \
  INSTANTIATE_TEST_SUITE_P(Everywhere, suite,                                    \
                           testing::ValuesIn(::boreal::reference::everywhere()), \
                           ::boreal::kernels::where_name)
// For suites that compare with finite differences, which say nothing of a rounded function.
#define BOREAL_EVERYWHERE_FP32(suite)                                             \
  INSTANTIATE_TEST_SUITE_P(                                                       \
      Everywhere, suite,                                                          \
      testing::ValuesIn(::boreal::reference::everywhere({::boreal::DType::f32})), \
      ::boreal::kernels::where_name)
