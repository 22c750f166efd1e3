#include "monitor/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "monitor/escape.h"
#include "monitor/number_text.h"

namespace boreal::monitor {

namespace {
// The rate forgets what lies further back than this, so that a slow start (first touch of memory,
// cold caches) does not spoil the ETA.
constexpr double kMemory_s = 30;
}  // namespace

Progress::Progress(const Clock& clock, ProgressOptions options)
    : clock_(clock),
      options_(std::move(options)),
      start_s_(clock.now_s()),
      measured_s_(start_s_),
      done_(options_.first) {}

Progress::~Progress() {
  if (open_line_) options_.write("\n");
}

void Progress::measure(std::int64_t done) {
  const double now_s = clock_.now_s();
  const double passed_s = now_s - measured_s_;
  const double keep = std::exp(-passed_s / kMemory_s);
  recent_done_ = recent_done_ * keep + static_cast<double>(done - done_);
  recent_s_ = recent_s_ * keep + passed_s;
  measured_s_ = now_s;
  done_ = done;
}

void Progress::update(std::int64_t done,
                      const std::function<std::vector<ProgressField>()>& fields) {
  if (options_.quiet) return;
  measure(done);
  if (fields) fields_ = fields();
  const double interval_s = options_.terminal ? options_.redraw_s : options_.line_every_s;
  if (printed_s_ >= 0 && clock_.now_s() - start_s_ - printed_s_ < interval_s) return;
  draw(false);
}

void Progress::update(std::int64_t done) {
  update(done, nullptr);
}

void Progress::print(std::string_view text) {
  if (options_.quiet) return;
  if (open_line_) options_.write("\r\x1b[K");
  options_.write(fmt::format("{}\n", text));
  if (open_line_) draw(false);
}

void Progress::finish() {
  if (options_.quiet) return;
  draw(true);
  open_line_ = false;
}

double Progress::eta_s() const {
  if (options_.total <= 0 || recent_done_ <= 0 || recent_s_ <= 0) return -1;
  const auto to_go = static_cast<double>(std::max<std::int64_t>(options_.total - done_, 0));
  return to_go * recent_s_ / recent_done_;
}

std::string Progress::line(bool last) const {
  std::string text = options_.label;
  const auto add = [&](std::string_view part) {
    if (!text.empty()) text += "  ";
    text += part;
  };
  const std::string unit = options_.unit.empty() ? "" : options_.unit + " ";
  if (options_.total > 0) {
    const double share = static_cast<double>(done_) / static_cast<double>(options_.total);
    const std::string total = count_text(options_.total);
    add(fmt::format("{}{:>{}}/{}", unit, count_text(done_), total.size(), total));
    // Rounded down: 100 % is said when all is done.
    add(fmt::format("{:3.0f} %", std::floor(100 * share)));
  } else {
    add(unit + count_text(done_));
  }
  for (const auto& [name, value] : fields_) add(name.empty() ? value : name + " " + value);
  if (last) {
    add("took " + duration_text(clock_.now_s() - start_s_));
  } else if (const double eta = eta_s(); eta >= 0) {
    add("eta " + duration_text(eta));
  }
  return printable_line(text);
}

void Progress::draw(bool last) {
  printed_s_ = clock_.now_s() - start_s_;
  if (!options_.terminal) {
    options_.write(line(last) + "\n");
    return;
  }
  // One column is left free: some terminals wrap when the last one is filled.
  const std::string shown =
      cut_to_width(line(last), std::max<std::size_t>(options_.width_columns, 2) - 1);
  options_.write("\r" + shown + "\x1b[K" + (last ? "\n" : ""));
  open_line_ = true;
}

ProgressOptions stderr_progress(std::string label, bool quiet) {
  ProgressOptions options{.label = std::move(label), .quiet = quiet};
  options.terminal = ::isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (options.terminal && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    options.width_columns = size.ws_col;
  // One write for a line: lines of several ranks that share a log do not mix.
  options.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return options;
}

std::vector<ProgressField> training_fields(double loss, double tokens_per_s,
                                           double flop_utilisation) {
  return {{"loss", fmt::format("{:.4f}", loss)},
          {"", short_text(tokens_per_s) + " tokens/s"},
          {"", fmt::format("{:.1f} % of peak", 100 * flop_utilisation)}};
}

}  // namespace boreal::monitor
