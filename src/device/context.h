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
  Pool* pool = nullptr;  // null on the meta device
  Isa isa = Isa::v2;

  bool is_meta() const { return kind == DeviceKind::meta; }
};

inline Context cpu_context(Pool& pool) {
  return {DeviceKind::cpu, &pool, best_isa()};
}
inline Context meta_context() {
  return {DeviceKind::meta, nullptr, best_isa()};
}

}  // namespace boreal::device
