// What a recorded profile says: as a Chrome trace (opens in Perfetto and chrome://tracing), as a
// table of kernels, and as stacked bars of where the time of a step goes. Thread rule: pure
// functions of a profile that no longer records.
#pragma once

#include <string>
#include <string_view>

#include "device/profile.h"
#include "monitor/chart.h"
#include "monitor/table.h"

namespace boreal::train {

// One event a span on the first track, one a part of the pool's work on the tracks of its threads.
// Kernels carry flops, bytes, gflop_per_s and gb_per_s in args.
std::string trace_json(const device::Profile& profile);

// Kernels by name, longest first: calls, time and share of a step, rates, and the share of the peak
// [FLOP/s] where there are FLOPs; 0: unknown. The last row is the step.
monitor::Table kernel_table(const device::Profile& profile, double peak_flops);

// Milliseconds of a step by place (the outermost layer, else the phase) and by kind of kernel.
monitor::StackedChart time_chart(const device::Profile& profile, const std::string& title);

// "matrix products", "attention", "packing, transposing", "norms, activations", "cross-entropy",
// "optimizer": what a kernel of this name is counted as.
std::string_view kind_of_kernel(std::string_view name);

}  // namespace boreal::train
