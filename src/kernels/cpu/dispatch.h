// Picks the table of a context's instruction set. Thread rule: pure functions.
#pragma once

#include "device/context.h"
#include "kernels/cpu/table.h"
#include "tensor/tensor.h"

namespace boreal::kernels::cpu {

const CpuTable& table(const device::Context& ctx);

// Rows of a group of the packed left side (table.h); also for the meta device.
std::int64_t left_rows(const device::Context& ctx, DType dtype);

// Position of a storage type in a table entry: fp32, bf16. Any other type is a bug.
std::size_t index(DType dtype);

}  // namespace boreal::kernels::cpu
