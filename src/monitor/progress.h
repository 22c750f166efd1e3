// One line that says how far a stage is. On a terminal it is redrawn in place, elsewhere (a log
// file, a batch job) a whole line is printed every few seconds. Never on stdout: results live
// there. Thread rule: one thread's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace boreal::monitor {

struct ProgressOptions {
  std::string label = {};          // "train"
  std::string unit = {};           // what is counted: "step", "document"; "" for none
  std::int64_t total = 0;          // 0: unknown
  std::int64_t first = 0;          // done by an earlier run; does not count in the rate
  bool quiet = false;              // prints nothing
  bool terminal = false;           // redraw in place
  std::size_t width_columns = 80;  // of the terminal
  double redraw_s = 0.1;
  double line_every_s = 5;
  std::function<void(std::string_view)> write = {};  // where text goes
};

// Name and text, as in {"loss", "2.314"}; a text that says it all needs no name.
using ProgressField = std::pair<std::string, std::string>;

class Progress {
 public:
  Progress(const Clock& clock, ProgressOptions options);
  // Ends a line that was being redrawn.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap: call at every step. `fields` is asked each time, so that finish() draws the newest, but
  // not if quiet.
  void update(std::int64_t done, const std::function<std::vector<ProgressField>()>& fields);
  void update(std::int64_t done);
  // Prints a line of its own without tearing the redrawn one: for warnings and notices.
  void print(std::string_view line);
  // Prints the final state with the time taken, however little time passed since the last line.
  void finish();

  // Estimated seconds to go; negative while unknown.
  double eta_s() const;

 private:
  void measure(std::int64_t done);
  void draw(bool last);
  std::string line(bool last) const;

  const Clock& clock_;
  ProgressOptions options_;
  double start_s_ = 0;
  double measured_s_ = 0;  // when done_ was counted
  double printed_s_ = -1;  // when a line was last printed; negative: never
  std::int64_t done_ = 0;
  // Exponentially forgotten work and time: their ratio is the rate.
  double recent_done_ = 0;
  double recent_s_ = 0;
  std::vector<ProgressField> fields_;
  bool open_line_ = false;
};

// Options that write to stderr: redraws if stderr is a terminal, as wide as that is.
ProgressOptions stderr_progress(std::string label, bool quiet);

// The fields of a training step: loss, tokens/s, share of the machine's peak.
std::vector<ProgressField> training_fields(double loss, double tokens_per_s,
                                           double flop_utilisation);

}  // namespace boreal::monitor
