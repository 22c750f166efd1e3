// What the machine can do at most: multiply-adds on registers, all threads at once, and reading
// memory. Benches and flop_utilisation quote their ratio to these. Short loops, repeated; the best
// repetition counts, since others share the machine. Thread rule: the thread that owns ctx.pool.
#pragma once

#include "device/context.h"

namespace boreal::kernels {

struct MachinePeak {
  double f32_flops = 0;   // FLOP/s
  double bf16_flops = 0;  // FLOP/s, products of bf16 summed in fp32
};

// Takes about `seconds`.
MachinePeak measure_flops(const device::Context& ctx, double seconds);

// Bytes per second read by all threads from a buffer of `bytes`, in about `seconds`.
double measure_read_bandwidth(const device::Context& ctx, std::int64_t bytes, double seconds);

}  // namespace boreal::kernels
