#include "kernels/cpu/dispatch.h"

namespace boreal::kernels::cpu {

namespace {
const CpuTable& table_of(device::Isa isa) {
  CHECK_LE(static_cast<int>(isa), static_cast<int>(device::best_isa()));
  switch (isa) {
    case device::Isa::v2: return kTableV2;
    case device::Isa::avx2: return kTableAvx2;
    case device::Isa::avx512: return kTableAvx512;
    case device::Isa::avx512_bf16: return kTableAvx512Bf16;
    case device::Isa::amx_bf16: return kTableAmxBf16;
  }
  return kTableV2;
}
}  // namespace

const CpuTable& table(const device::Context& ctx) {
  CHECK(!ctx.is_meta());
  return table_of(ctx.isa);
}

std::int64_t left_rows(const device::Context& ctx, DType dtype) {
  return table_of(ctx.isa).left_rows[index(dtype)];
}

std::size_t index(DType dtype) {
  CHECK(dtype == DType::f32 || dtype == DType::bf16, "no kernel for {}", name_of(dtype));
  return dtype == DType::f32 ? 0 : 1;
}

}  // namespace boreal::kernels::cpu
