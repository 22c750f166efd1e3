// Profile: where the time of a rank went, as spans that nest: steps, phases, layers, kernels, and
// beside them when each thread of the pool was at work. Recording takes memory only in reserve();
// what does not fit is counted and left out. Thread rule: spans belong to the thread that owns the
// context; work() is called by the thread of the part.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace boreal::device {

enum class SpanKind : std::uint8_t { step, phase, layer, kernel };

// FLOPs count the multiplications and additions of matrix products, attention's included. Bytes
// count each operand once, as if the caches held everything else.
struct SpanRecord {
  std::string_view name;  // of static life
  SpanKind kind = SpanKind::kernel;
  std::int64_t index = -1;   // of a step or a block
  std::int64_t parent = -1;  // place in records()
  double begin_s = 0;
  double end_s = 0;
  std::int64_t flops = 0;
  std::int64_t bytes = 0;

  double seconds() const { return end_s - begin_s; }
};

// A thread's part of a run of the pool.
struct WorkRecord {
  std::int64_t span = -1;  // place in records() of the span it belongs to
  double begin_s = 0;
  double end_s = 0;
};

class Profile {
 public:
  Profile(const Clock& clock, std::int64_t threads);

  // Makes room for a step twice as eventful as the most eventful so far. Between spans.
  void reserve();

  // Returns the place of the record, -1 if there was no room. They close in reverse order.
  std::int64_t open(const SpanRecord& span);
  void close(std::int64_t place);

  double now_s() const { return clock_.now_s(); }
  void work(std::int64_t part, double begin_s);

  // In the order in which they began: parents stand before their children.
  const std::vector<SpanRecord>& records() const { return records_; }
  std::int64_t threads() const { return static_cast<std::int64_t>(work_.size()); }
  const std::vector<WorkRecord>& work(std::int64_t part) const {
    return work_[static_cast<std::size_t>(part)];
  }
  std::int64_t left_out() const;

 private:
  const Clock& clock_;
  std::vector<SpanRecord> records_;
  std::vector<std::vector<WorkRecord>> work_;
  std::vector<std::int64_t> work_left_out_;  // by part: threads do not share a counter
  std::int64_t current_ = -1;
  std::int64_t left_out_ = 0;
  std::size_t marked_ = 0;   // records before the last reserve()
  std::size_t largest_ = 0;  // of a step
};

}  // namespace boreal::device
