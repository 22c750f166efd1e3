#define BOREAL_ISA isa_avx512
#define BOREAL_TABLE kTableAvx512
#include "kernels/cpu/isa.inl.h"
