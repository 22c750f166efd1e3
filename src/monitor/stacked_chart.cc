#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "monitor/axis.h"
#include "monitor/chart.h"
#include "monitor/escape.h"
#include "monitor/number_text.h"
#include "monitor/svg.h"

namespace boreal::monitor {

namespace {

constexpr double kBar_px = 24;
constexpr double kGap_px = 8;
constexpr double kInsideText_px = 34;  // a piece as wide has room for its share

struct Frame {
  Axis value;
  double left = 0;
  double right = 0;
  double top = 0;
  double bottom = 0;

  double at(double v) const {
    return left + std::clamp(value.position(v), 0.0, 1.0) * (right - left);
  }
};

std::string piece_class(const StackedChart& chart, std::size_t series) {
  return chart.rest && series + 1 == chart.series.size() ? "c0" : colour_class(series);
}

double length_of(const StackedBar& bar) {
  return std::accumulate(bar.values.begin(), bar.values.end(), 0.0);
}

std::string one_bar(const StackedChart& chart, const Frame& frame, const StackedBar& bar,
                    double y) {
  CHECK_EQ(bar.values.size(), chart.series.size());
  const double length = length_of(bar);
  std::string out;
  double from = 0;
  for (std::size_t s = 0; s < bar.values.size(); ++s) {
    CHECK(bar.values[s] >= 0, "{}, {}: {}", bar.name, chart.series[s], bar.values[s]);
    const double x = frame.at(from);
    const double width = frame.at(from + bar.values[s]) - x;
    from += bar.values[s];
    if (width < 0.05) continue;
    const std::string share = fmt::format("{:.0f} %", 100 * bar.values[s] / length);
    out += fmt::format(
        "<g class=\"{}\"><title>{}</title><rect class=\"piece\" x=\"{:.2f}\" y=\"{:.1f}\" "
        "width=\"{:.2f}\" height=\"{:.1f}\"/>",
        piece_class(chart, s),
        escape_markup(fmt::format("{} · {}\n{} ({})", bar.name, chart.series[s],
                                  short_text(bar.values[s]), share)),
        x, y, width, kBar_px);
    if (width >= kInsideText_px)
      out += svg_text({.x = x + width / 2,
                       .y = y + kBar_px / 2 + 4,
                       .anchor = Anchor::middle,
                       .css_class = "inside"},
                      share);
    out += "</g>";
  }
  return out +
         svg_text({.x = frame.left - 12,
                   .y = y + kBar_px / 2 + 4,
                   .anchor = Anchor::end,
                   .css_class = "strong"},
                  bar.name) +
         svg_text(
             {.x = frame.at(length) + 8, .y = y + kBar_px / 2 + 4, .css_class = "strong value"},
             short_text(length));
}

std::string axes(const StackedChart& chart, const Frame& frame) {
  std::string out;
  for (const double tick : frame.value.ticks) {
    const double x = frame.at(tick);
    out += svg_line(x, frame.top, x, frame.bottom, tick == 0 ? "base" : "grid");
    out += svg_text({.x = x, .y = frame.bottom + 18, .anchor = Anchor::middle},
                    tick_text(frame.value, tick));
  }
  return out + svg_text({.x = (frame.left + frame.right) / 2,
                         .y = frame.bottom + 38,
                         .anchor = Anchor::middle},
                        chart.value_label);
}

std::string draw(const StackedChart& chart, bool alone) {
  std::vector<LegendEntry> entries;
  for (std::size_t s = 0; s < chart.series.size(); ++s)
    entries.push_back({chart.series[s], R"(<rect class="piece" width="18" height="12"/>)",
                       piece_class(chart, s)});
  const double head = alone ? kHeadingHeight_px : 0;
  const Legend legend = make_legend(entries, 0, head + 2, kChartWidth_px);
  double label_px = 0;
  double longest = 0;
  for (const StackedBar& bar : chart.bars) {
    label_px = std::max(label_px, text_width_px(bar.name));
    longest = std::max(longest, length_of(bar));
  }
  Frame frame{.value = make_axis(0, longest, {.ticks = 6}),
              .left = label_px + 14,
              .right = kChartWidth_px - 64,
              .top = head + legend.height_px + 10};
  frame.bottom = frame.top + static_cast<double>(chart.bars.size()) * (kBar_px + kGap_px) + kGap_px;
  std::string body = (alone ? svg_heading(chart.title) : "") + legend.svg + axes(chart, frame);
  double y = frame.top + kGap_px;
  for (const StackedBar& bar : chart.bars) {
    body += one_bar(chart, frame, bar, y);
    y += kBar_px + kGap_px;
  }
  const double height = frame.bottom + 46;
  return alone ? svg_document(kChartWidth_px, height, chart.title, body, chart_css())
               : svg_element(kChartWidth_px, height, chart.title, body);
}

}  // namespace

std::string to_svg(const StackedChart& chart) {
  return draw(chart, false);
}

Status write_svg(Env& env, const std::string& path, const StackedChart& chart) {
  return env.write_file(path, draw(chart, true));
}

}  // namespace boreal::monitor
