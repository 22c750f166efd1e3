// Named, timed phases of a step: fetch, forward_backward, clip, update, validate, report, save.
// Thread rule: one thread's.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "device/context.h"

namespace boreal::train {

class Phases {
 public:
  explicit Phases(const Clock& clock) : clock_(clock) {}

  // Phases are spans of it from now on; null: of none.
  void record_in(device::Profile* profile) { profile_ = profile; }

  // Runs body and adds its time to the phase. The name is a literal.
  template <class Body>
  auto operator()(std::string_view name, Body body) {
    const Timer timer(*this, name);
    const device::Span span(profile_, {.name = name, .kind = device::SpanKind::phase});
    return body();
  }

  // Milliseconds by phase in the order of first use; starts anew.
  std::vector<std::pair<std::string, double>> take() { return std::exchange(times_ms_, {}); }

 private:
  class Timer {
   public:
    Timer(Phases& phases, std::string_view name)
        : phases_(phases), name_(name), start_s_(phases.clock_.now_s()) {}
    ~Timer() { phases_.add(name_, (phases_.clock_.now_s() - start_s_) * 1e3); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

   private:
    Phases& phases_;
    std::string_view name_;
    double start_s_;
  };

  void add(std::string_view name, double ms) {
    for (auto& [known, sum] : times_ms_)
      if (known == name) {
        sum += ms;
        return;
      }
    times_ms_.emplace_back(name, ms);
  }

  const Clock& clock_;
  device::Profile* profile_ = nullptr;
  std::vector<std::pair<std::string, double>> times_ms_;
};

}  // namespace boreal::train
