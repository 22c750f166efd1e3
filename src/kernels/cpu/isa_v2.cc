#define BOREAL_ISA isa_v2
#define BOREAL_TABLE kTableV2
#include "kernels/cpu/isa.inl.h"
