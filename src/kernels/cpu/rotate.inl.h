// The rotation of rotary positions, in one place: keys turned before they are cached and keys
// turned on load have the same bits.
#pragma once

#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

BOREAL_INLINE void rotate_pair(Vf& first, Vf& second, Vf cos, Vf sin) {
  const Vf a = first;
  const Vf b = second;
  first = fma(a, cos, -(b * sin));
  second = fma(b, cos, a * sin);
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
