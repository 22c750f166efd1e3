#define BOREAL_ISA isa_amx_bf16
#define BOREAL_TABLE kTableAmxBf16
#define BOREAL_TILES
#include "kernels/cpu/isa.inl.h"
