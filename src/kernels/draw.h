// Random numbers in bulk: the draws of base/philox.h by vectors. The same bits on every instruction
// set and however a range is cut; within one rounding of fp32 of Rng::normal, whose logarithm and
// cosine are the C library's. Thread rule: pure functions on the calling thread.
#pragma once

#include <cstdint>

#include "base/philox.h"
#include "device/context.h"

namespace boreal::kernels {

// out[i] = scale times the standard normal draw of element first + i.
void draw_normals(const device::Context& ctx, const Rng& rng, std::uint64_t first, double scale,
                  float* out, std::int64_t count);

}  // namespace boreal::kernels
