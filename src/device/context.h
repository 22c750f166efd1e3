// Context: where an operation runs. Every kernel and collective takes one.
// On the meta device shapes flow and nothing is computed: that is how a step is planned before it
// is run. Thread rule: a Context belongs to the thread that owns its pool.
#pragma once

#include <cstdint>

#include "device/machine.h"
#include "device/pool.h"
#include "device/profile.h"

namespace boreal::device {

enum class DeviceKind : std::uint8_t { cpu, meta };

struct Context {
  DeviceKind kind = DeviceKind::cpu;
  Pool* pool = nullptr;      // null on the meta device
  std::int64_t threads = 1;  // of the pool; the meta device plans for as many
  Isa isa = Isa::v2;
  Profile* profile = nullptr;  // null: nothing is recorded

  bool is_meta() const { return kind == DeviceKind::meta; }
};

inline Context cpu_context(Pool& pool) {
  return {DeviceKind::cpu, &pool, pool.threads(), best_isa()};
}
inline Context meta_context(std::int64_t threads) {
  return {DeviceKind::meta, nullptr, threads, best_isa()};
}

// From here to the end of the scope, in the profile of the context if it has one. A kernel says
// what it does in the first line of its body. Names are literals.
class Span {
 public:
  Span(const Context& ctx, std::string_view name, std::int64_t flops, std::int64_t bytes)
      : Span(ctx.profile, {.name = name, .flops = flops, .bytes = bytes}) {}
  Span(Profile* profile, const SpanRecord& span) : profile_(profile) {
    if (profile_ != nullptr) place_ = profile_->open(span);
  }
  static Span layer(const Context& ctx, std::string_view name, std::int64_t index = -1) {
    return {ctx.profile, {.name = name, .kind = SpanKind::layer, .index = index}};
  }
  ~Span() {
    if (profile_ != nullptr) profile_->close(place_);
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  Profile* profile_;
  std::int64_t place_ = -1;
};

}  // namespace boreal::device
