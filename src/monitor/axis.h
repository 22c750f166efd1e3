// Axes of charts: bounds and ticks at round numbers. Thread rule: pure functions.
#pragma once

#include <string>
#include <vector>

namespace boreal::monitor {

struct AxisOptions {
  bool log = false;
  bool extend = true;  // widen the bounds to the enclosing ticks
  int ticks = 6;       // about so many
};

struct Axis {
  double low = 0;
  double high = 1;
  bool log = false;
  std::vector<double> ticks = {};

  // 0 at low, 1 at high.
  double position(double value) const;
};

// An axis over [low, high]. Linear ticks are 1, 2 or 5 times a power of ten apart; logarithmic ones
// stand at powers of ten, and at 2 and 5 times them where there is room. Requires finite bounds,
// low <= high, and low > 0 if log.
Axis make_axis(double low, double high, const AxisOptions& options);

// As many decimals as tell the ticks apart; "20k" from ten thousand on.
std::string tick_text(const Axis& axis, double tick);

}  // namespace boreal::monitor
