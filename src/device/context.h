// Context: where an operation runs. Every kernel and collective takes one.
// On the meta device shapes flow and nothing is computed: that is how a step is planned before it
// is run. Thread rule: a Context belongs to the thread that owns its pool.
#pragma once

#include <cstdint>

#include "device/machine.h"
#include "device/pool.h"

namespace boreal::device {

enum class DeviceKind : std::uint8_t { cpu, meta };

struct Context {
  DeviceKind kind = DeviceKind::cpu;
  Pool* pool = nullptr;      // null on the meta device
  std::int64_t threads = 1;  // of the pool; the meta device plans for as many
  Isa isa = Isa::v2;

  bool is_meta() const { return kind == DeviceKind::meta; }
};

inline Context cpu_context(Pool& pool) {
  return {DeviceKind::cpu, &pool, pool.threads(), best_isa()};
}
inline Context meta_context(std::int64_t threads) {
  return {DeviceKind::meta, nullptr, threads, best_isa()};
}

}  // namespace boreal::device
