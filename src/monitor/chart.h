// Charts as SVG, for reports (report.h) and as files of their own. Colours follow the reader's
// light or dark setting; what the pointer is on is told by title elements, without scripts. Text is
// escaped. Points that are not finite, and those that a logarithmic axis cannot show, are left out;
// a line breaks there. Thread rule: values and pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "monitor/table.h"

namespace boreal::monitor {

struct Point {
  double x = 0;
  double y = 0;
};

struct Series {
  std::string name = {};
  std::vector<Point> points = {};  // x must not fall
  bool smooth = false;   // a running mean on top of the faint points: for losses of single steps
  bool markers = false;  // a dot at each point: for few points
  bool dashed = false;
};

struct LineChart {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  bool log_x = false;
  bool log_y = false;
  bool y_from_zero = false;
  std::vector<Series> series = {};
  std::string caption = {};
  double height_px = 340;
};

struct BarSeries {
  std::string name = {};
  std::vector<std::optional<Measured>> bars = {};  // one a category
};

// Horizontal bars, grouped by category. A whisker spans the 95 % interval (1.96 standard errors
// each way), a mark stands at chance.
struct BarChart {
  std::string title = {};
  std::string value_label = {};
  std::vector<std::string> categories = {};
  std::vector<BarSeries> series = {};
  NumberStyle style = NumberStyle::percent;
  int decimals = 1;
  std::optional<double> high = {};  // end of the axis; default: by the data, 1 for percent
  std::string caption = {};
};

// Horizontal bars, each a row of pieces that add up to its length.
struct StackedBar {
  std::string name = {};
  std::vector<double> values = {};  // one a series, none negative
};

struct StackedChart {
  std::string title = {};
  std::string value_label = {};
  std::vector<std::string> series = {};
  bool rest = false;  // the last series is what the others leave: drawn faint
  std::vector<StackedBar> bars = {};
};

// The svg element for a page that has chart_css().
std::string to_svg(const LineChart& chart);
std::string to_svg(const BarChart& chart);
std::string to_svg(const StackedChart& chart);

// A file of its own, with its title and style inside.
Status write_svg(Env& env, const std::string& path, const LineChart& chart);
Status write_svg(Env& env, const std::string& path, const BarChart& chart);
Status write_svg(Env& env, const std::string& path, const StackedChart& chart);

// Colours (custom properties on the root) and the classes that charts use.
std::string_view chart_css();

// Half-width of the 95 % interval.
double interval_half(const Measured& score);

// A score on the scale low..high as a small picture for a table's cell: dot, 95 % interval, mark at
// chance.
std::string interval_svg(const Measured& score, double low, double high, const std::string& tip);

}  // namespace boreal::monitor
