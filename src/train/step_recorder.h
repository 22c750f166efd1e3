// StepRecorder: `train --profile`. Records some steps of the run once it is warm and writes what
// they say: OUT/profile.json (a Chrome trace) and OUT/profile.svg. Thread rule: the thread that
// owns the replica.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/env.h"
#include "monitor/table.h"
#include "train/phases.h"
#include "train/replica.h"
#include "train/trainer.h"

namespace boreal::train {

class StepRecorder {
 public:
  // Steps of this process before the first that is recorded: they touch memory for the first time.
  static constexpr std::int64_t kWarmSteps = 2;

  // steps_left: of the run. peak_flops: of this rank; 0: unknown.
  StepRecorder(Env& env, const Clock& clock, Replica& replica, Phases& phases,
               const TrainOptions& options, std::int64_t steps_left, double peak_flops);

  ~StepRecorder() { record(false); }
  StepRecorder(const StepRecorder&) = delete;
  StepRecorder& operator=(const StepRecorder&) = delete;

  // Before each step and behind the last: begins, ends and writes.
  Status advance();
  // Null while nothing is recorded.
  device::Profile* profile() { return recording_ ? profile_.get() : nullptr; }
  // Where the time went; without columns until it is written.
  const monitor::Table& table() const { return table_; }

 private:
  Status write();
  void record(bool on);

  Env& env_;
  Replica& replica_;
  Phases& phases_;
  std::string out_;
  double peak_flops_ = 0;
  std::int64_t first_ = 0;  // of the steps of this process, from 0
  std::int64_t last_ = 0;   // the one behind
  std::int64_t begun_ = 0;
  bool recording_ = false;
  std::unique_ptr<device::Profile> profile_;
  monitor::Table table_;
};

}  // namespace boreal::train
