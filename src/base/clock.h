// Time as an argument: what measures or waits takes a Clock, so that tests own the time.
// Thread rule: all methods may be called from any thread.
#pragma once

#include <cstdint>

namespace boreal {

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic seconds since an arbitrary start.
  virtual double now_s() const = 0;
  // Seconds since 1970, for records that people read.
  virtual double wall_s() const = 0;

  static const Clock& real();
};

// A clock that a test moves by hand.
class ManualClock final : public Clock {
 public:
  double now_s() const override { return now_s_; }
  double wall_s() const override { return 1.7e9 + now_s_; }
  void advance(double seconds) { now_s_ += seconds; }

 private:
  double now_s_ = 0;
};

}  // namespace boreal
