// OUT/metrics.jsonl: one JSON object a step, the record of a training run that scripts read.
//
// After a resume the file equals an unbroken run's, times aside: what was written past the
// checkpoint is cut. Numbers are the shortest decimals that read back to the same double; what JSON
// cannot hold (infinity, not a number) is null and reads back as not a number. A line is written
// with one append, so a killed process leaves at most its last line torn, which has no newline.
//
// Steps count from 1: the row of step n is written when the n-th optimizer step is done; a
// checkpoint "step-n" holds n steps. Thread rule: MetricsWriter is one thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::monitor {

struct StepMetrics {
  std::int64_t step = 0;
  std::int64_t tokens = 0;  // trained on so far, this step's included
  double loss = 0;          // mean over the step's weighted tokens [nats]
  double grad_norm = 0;     // before clipping
  double lr = 0;
  double step_ms = 0;
  double tokens_per_s = 0;
  double flop_utilisation = 0;  // share of the measured peak
  std::vector<std::pair<std::string, double>> phases_ms = {};
  std::optional<double> validation_loss = {};
};

// The object without its newline.
std::string metrics_line(const StepMetrics& row);

// Bit-equal in step, tokens, loss, grad_norm, lr and validation_loss: all that does not depend on
// the time a step took.
bool equal_but_for_times(const StepMetrics& a, const StepMetrics& b);

class MetricsWriter {
 public:
  // resume_step 0: an empty file. Otherwise keeps the rows of steps 1 .. resume_step and cuts the
  // rest. An absent file is begun anew. Refused: a damaged line before the cut (named by number),
  // or rows that end before resume_step.
  static Result<MetricsWriter> open(Env& env, const std::string& path, std::int64_t resume_step);

  // Requires row.step greater than that of the last row.
  Status append(const StepMetrics& row);
  // On disk when it returns: call before a checkpoint is committed.
  Status sync();

 private:
  MetricsWriter(std::unique_ptr<FileWriter> file, std::int64_t last_step)
      : file_(std::move(file)), last_step_(last_step) {}
  std::unique_ptr<FileWriter> file_;
  std::int64_t last_step_;
};

// All whole rows; a torn last line (no newline) is left out. Refused, with the line's number: a
// line that is no such object, or steps that do not rise.
Result<std::vector<StepMetrics>> read_metrics(Env& env, const std::string& path);

}  // namespace boreal::monitor
