#define BOREAL_ISA isa_avx512_bf16
#define BOREAL_TABLE kTableAvx512Bf16
#include "kernels/cpu/isa.inl.h"
