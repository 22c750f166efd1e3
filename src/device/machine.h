// What this machine offers: cores and memory of the cgroup (not of the host), instruction sets.
// Read once at start. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::device {

// Instruction sets with kernels of their own, in rising order. Each needs all that stand before it.
enum class Isa : std::uint8_t {
  v2,           // baseline of the binary: SSE4.2
  avx2,         // AVX2, FMA, F16C
  avx512,       // AVX-512 F, BW, DQ, VL
  avx512_bf16,  // and VDPBF16PS
  amx_bf16,     // and AMX tiles with TDPBF16PS
};

std::string_view name_of(Isa isa);
// The highest set that both the processor and the operating system offer, and no higher than the
// limit. The first call asks the system for the use of AMX tiles.
Isa best_isa();
// From now on this process uses no higher set than that of this name. Usage: there is none such.
Status limit_isa(std::string_view name);
// All sets up to best_isa(), for tests that check each path.
std::vector<Isa> available_isas();

struct Machine {
  std::string cpu_model;
  std::int64_t cores = 1;         // processors this process may run on, within the cgroup's quota
  double core_time = 0;           // of the cgroup, in cores; 0: no limit
  std::int64_t memory_bytes = 0;  // limit of the cgroup, or all
  // Of it what this process may still take without the system swapping or killing; file pages that
  // it would drop count as free.
  std::int64_t available_bytes = 0;
  Isa isa = Isa::v2;
};

Machine read_machine(Env& env);

// Anonymous resident memory of this process now: without mapped files and shared memory [bytes].
// Allocates nothing.
std::int64_t anonymous_bytes();
// Peak resident memory of this process so far [bytes].
std::int64_t peak_rss_bytes();

}  // namespace boreal::device
