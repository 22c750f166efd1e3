#include "monitor/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "monitor/number_text.h"

namespace boreal::monitor {

namespace {

double linear_step(double range, int ticks) {
  const double raw = range / std::max(ticks, 1);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power * (1 + 1e-9)) return factor * power;
  return 10 * power;
}

Axis linear_axis(double low, double high, const AxisOptions& options) {
  // A flat line still needs a range to stand in.
  if (high - low <= 1e-12 * std::max(std::fabs(low), std::fabs(high)) || high == low) {
    const double half = low == 0 ? 1 : std::fabs(low) / 2;
    low -= half;
    high += half;
  }
  const double step = linear_step(high - low, options.ticks);
  Axis axis{.low = low, .high = high};
  const double slack = 1e-9;
  if (options.extend) {
    axis.low = std::floor(low / step + slack) * step;
    axis.high = std::ceil(high / step - slack) * step;
  }
  const double first = std::ceil(axis.low / step - slack);
  const double last = std::floor(axis.high / step + slack);
  for (double k = first; k <= last; ++k) axis.ticks.push_back(k * step + 0.0);
  return axis;
}

// Ticks at every `decades` power of ten, and at 2 and 5 times it if `between`, from the one below
// low to the one above high.
std::vector<double> log_candidates(double low, double high, bool between, int decades) {
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
  std::vector<double> ticks;
  for (int k = first; k < last + decades; k += decades) {
    const double power = std::pow(10, k);
    if (!std::isfinite(power)) break;
    ticks.push_back(power);
    if (between) ticks.insert(ticks.end(), {2 * power, 5 * power});
  }
  return ticks;
}

Axis log_axis(double low, double high, const AxisOptions& options) {
  if (high <= low * (1 + 1e-12)) {
    low /= 2;
    high *= 2;
  }
  const double span = std::log10(high) - std::log10(low);
  const int decades = std::max(1, static_cast<int>(std::ceil(span / options.ticks)));
  const std::vector<double> candidates = log_candidates(low, high, span < 2.5, decades);
  Axis axis{.low = low, .high = high, .log = true};
  if (options.extend) {
    for (const double tick : candidates)
      if (tick <= low * (1 + 1e-9)) axis.low = tick;
    for (auto tick = candidates.rbegin(); tick != candidates.rend(); ++tick)
      if (*tick >= high * (1 - 1e-9)) axis.high = *tick;
  }
  for (const double tick : candidates)
    if (tick >= axis.low * (1 - 1e-9) && tick <= axis.high * (1 + 1e-9)) axis.ticks.push_back(tick);
  // Less than a factor of two or so: round numbers at even distances serve better.
  if (axis.ticks.size() < 3) {
    axis.ticks = linear_axis(axis.low, axis.high, {.extend = false, .ticks = options.ticks}).ticks;
    std::erase_if(axis.ticks, [](double tick) { return tick <= 0; });
  }
  return axis;
}

}  // namespace

double Axis::position(double value) const {
  if (log) return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
  return (value - low) / (high - low);
}

Axis make_axis(double low, double high, const AxisOptions& options) {
  CHECK(std::isfinite(low) && std::isfinite(high) && low <= high, "{} .. {}", low, high);
  CHECK(!options.log || low > 0, "{}", low);
  return options.log ? log_axis(low, high, options) : linear_axis(low, high, options);
}

std::string tick_text(const Axis& axis, double tick) {
  if (tick == 0) return "0";
  const double largest = std::max(std::fabs(axis.low), std::fabs(axis.high));
  if (axis.log || largest >= 10000) {
    return std::fabs(tick) < 0.001 ? fmt::format("{:.3g}", tick) : short_text(tick);
  }
  const double step = axis.ticks.size() > 1 ? axis.ticks[1] - axis.ticks[0] : tick;
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  if (decimals == 0) return count_text(std::llround(tick));
  return decimals > 5 ? fmt::format("{:.3g}", tick) : fmt::format("{:.{}f}", tick, decimals);
}

}  // namespace boreal::monitor
