#define BOREAL_ISA isa_avx2
#define BOREAL_TABLE kTableAvx2
#include "kernels/cpu/isa.inl.h"
