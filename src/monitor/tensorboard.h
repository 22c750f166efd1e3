// Writes scalars as TensorBoard event files (TFRecord frames around protobuf messages Event and
// Summary; field numbers from TensorFlow's event.proto and summary.proto). Reading is TensorBoard's
// business.
//
// Each open begins a new file whose name sorts behind those in the folder. After a resume its
// second event is a session start at the first new step, on which TensorBoard forgets what older
// files say of that step and later ones. Thread rule: one thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/env.h"
#include "base/result.h"
#include "monitor/metrics.h"

namespace boreal::monitor {

class EventWriter {
 public:
  using Scalar = std::pair<std::string, double>;

  // Makes the folder if need be. resume_step 0: a new run; n: steps 1 .. n of earlier files stay
  // valid.
  static Result<EventWriter> open(Env& env, const Clock& clock, const std::string& folder,
                                  std::int64_t resume_step);

  // One event that holds all tags of a step. TensorBoard keeps single precision.
  Status append(std::int64_t step, const std::vector<Scalar>& scalars);
  // The step's metrics under train/, validation/, speed/ and phase_ms/.
  Status append(const StepMetrics& row);
  Status sync();

 private:
  EventWriter(const Clock& clock, std::unique_ptr<FileWriter> file)
      : clock_(&clock), file_(std::move(file)) {}
  const Clock* clock_;
  std::unique_ptr<FileWriter> file_;
};

// Length, its masked CRC-32C, the data, its masked CRC-32C; little-endian.
std::string tfrecord(std::string_view data);

}  // namespace boreal::monitor
