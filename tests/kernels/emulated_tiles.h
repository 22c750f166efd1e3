// The bf16 product of Isa::amx_bf16 on any machine: its tile instructions are emulated.
// Thread rule: any thread, the tiles are thread-local.
#pragma once

#include "kernels/cpu/table.h"

namespace boreal::kernels {

// C = A . B, as the kernel table of that set computes it.
void emulated_tiles_gemm(const cpu::GemmArgs& args);

}  // namespace boreal::kernels
