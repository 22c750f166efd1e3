// Pieces that the charts share. Thread rule: pure functions; SvgText is one thread's.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace boreal::monitor {

enum class Anchor { start, middle, end };

struct TextAt {
  double x = 0;
  double y = 0;
  Anchor anchor = Anchor::start;
  std::string_view css_class = {};
};

std::string svg_text(const TextAt& at, std::string_view text);
std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class);

// "c1" .. "c6", round and round.
std::string colour_class(std::size_t series);

// About the width of text in 12 px type: fonts are not known here, so places are chosen with room
// to spare.
double text_width_px(std::string_view text);

// One entry of a legend; `swatch` is drawn in a box of 18 x 12 px whose left upper corner is the
// origin.
struct LegendEntry {
  std::string name = {};
  std::string swatch = {};
  std::string css_class = {};
};

// The legend in rows no wider than width_px from (x, y) on, and its height.
struct Legend {
  std::string svg = {};
  double height_px = 0;
};
Legend make_legend(const std::vector<LegendEntry>& entries, double x, double y, double width_px);

// The svg element around a chart's body, for a page that has the style.
std::string svg_element(double width_px, double height_px, std::string_view label,
                        std::string_view body);
// A file of its own: XML name space, style and a margin.
std::string svg_document(double width_px, double height_px, std::string_view label,
                         std::string_view body, std::string_view css);

// A heading above a chart that stands in a file of its own.
std::string svg_heading(std::string_view title);
constexpr double kHeadingHeight_px = 28;
constexpr double kChartWidth_px = 900;

}  // namespace boreal::monitor
