// The product on AMX tiles with the tile instructions emulated, at the baseline's flags.
#include "tests/kernels/emulated_tiles.h"

#define BOREAL_ISA emulated_tiles
#define BOREAL_TILES
#define BOREAL_EMULATE_AMX
#include "kernels/cpu/gemm.inl.h"

namespace boreal::kernels {

void emulated_tiles_gemm(const cpu::GemmArgs& args) {
  cpu::emulated_tiles::gemm<std::uint16_t>(args);
}

}  // namespace boreal::kernels
