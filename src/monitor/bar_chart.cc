#include <algorithm>
#include <cmath>

#include "monitor/axis.h"
#include "monitor/chart.h"
#include "monitor/escape.h"
#include "monitor/number_text.h"
#include "monitor/svg.h"

namespace boreal::monitor {

namespace {

constexpr double kBar_px = 15;
constexpr double kBarGap_px = 4;
constexpr double kGroupGap_px = 16;
constexpr double kLabelMax_px = 230;
constexpr double kNormal95 = 1.959963984540054;

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

Column value_column(const BarChart& chart) {
  return {.style = chart.style, .decimals = chart.decimals};
}

std::string tip_text(const BarChart& chart, std::size_t category, const BarSeries& series,
                     const Measured& score) {
  const Column column = value_column(chart);
  std::string text = chart.categories[category];
  if (!series.name.empty()) text += " · " + series.name;
  text += "\n" + cell_text(score, column) + (chart.style == NumberStyle::percent ? " %" : "");
  if (score.chance)
    text += "\nchance " + cell_text(*score.chance, column) +
            (chart.style == NumberStyle::percent ? " %" : "");
  return text;
}

std::string one_bar(const BarChart& chart, const Frame& frame, const Measured& score, double y) {
  const double zero = frame.at(0);
  const double end = frame.at(score.value);
  const double middle = y + kBar_px / 2;
  std::string out = fmt::format(
      R"(<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>)",
      std::min(zero, end), y, std::fabs(end - zero), kBar_px);
  double label_x = std::max(zero, end);
  if (score.standard_error > 0) {
    const double low = frame.at(score.value - interval_half(score));
    const double high = frame.at(score.value + interval_half(score));
    out += fmt::format(
        "<path class=\"whisker\" "
        "d=\"M{0:.1f} {2:.1f}V{3:.1f}M{0:.1f} {4:.1f}H{1:.1f}M{1:.1f} {2:.1f}V{3:.1f}\"/>",
        low, high, middle - 3.5, middle + 3.5, middle);
    label_x = std::max(label_x, high);
  }
  if (score.chance) {
    const double x = frame.at(*score.chance);
    out += svg_line(x, y - 2, x, y + kBar_px + 2, "chance");
    if (x > label_x && x - label_x < 60) label_x = x;
  }
  return out + svg_text({.x = label_x + 8, .y = middle + 4, .css_class = "strong value"},
                        cell_text(score.value, value_column(chart)));
}

std::string groups(const BarChart& chart, const Frame& frame) {
  std::string out;
  double y = frame.top + kGroupGap_px / 2;
  for (std::size_t c = 0; c < chart.categories.size(); ++c) {
    const double group_px =
        static_cast<double>(chart.series.size()) * (kBar_px + kBarGap_px) - kBarGap_px;
    const auto label_columns = static_cast<std::size_t>(kLabelMax_px / text_width_px("x"));
    out += svg_text({.x = frame.left - 12,
                     .y = y + group_px / 2 + 4,
                     .anchor = Anchor::end,
                     .css_class = "strong"},
                    cut_to_width(chart.categories[c], label_columns));
    for (std::size_t s = 0; s < chart.series.size(); ++s) {
      CHECK_EQ(chart.series[s].bars.size(), chart.categories.size());
      const double bar_y = y + static_cast<double>(s) * (kBar_px + kBarGap_px);
      const auto& score = chart.series[s].bars[c];
      if (score && std::isfinite(score->value)) {
        out += fmt::format(R"(<g class="{}"><title>{}</title>{}</g>)", colour_class(s),
                           escape_markup(tip_text(chart, c, chart.series[s], *score)),
                           one_bar(chart, frame, *score, bar_y));
      } else {
        out += svg_text({.x = frame.left + 8, .y = bar_y + kBar_px / 2 + 4}, "none");
      }
    }
    y += group_px + kGroupGap_px;
  }
  return out;
}

std::string axes(const BarChart& chart, const Frame& frame) {
  std::string out;
  for (const double tick : frame.value.ticks) {
    const double x = frame.at(tick);
    out += svg_line(x, frame.top, x, frame.bottom, tick == 0 ? "base" : "grid");
    std::string text = tick_text(frame.value, tick);
    if (chart.style == NumberStyle::percent) text = fmt::format("{:.3g} %", 100 * tick);
    if (chart.style == NumberStyle::duration) text = duration_text(tick);
    if (chart.style == NumberStyle::bytes) text = bytes_text(tick);
    out += svg_text({.x = x, .y = frame.bottom + 18, .anchor = Anchor::middle}, text);
  }
  return out + svg_text({.x = (frame.left + frame.right) / 2,
                         .y = frame.bottom + 38,
                         .anchor = Anchor::middle},
                        chart.value_label);
}

std::vector<LegendEntry> legend_entries(const BarChart& chart) {
  std::vector<LegendEntry> entries;
  bool error = false;
  bool chance = false;
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    if (chart.series.size() > 1)
      entries.push_back({chart.series[s].name,
                         R"(<rect class="bar" width="18" height="12" rx="1.5"/>)",
                         colour_class(s)});
    for (const auto& score : chart.series[s].bars) {
      error = error || (score && score->standard_error > 0);
      chance = chance || (score && score->chance);
    }
  }
  if (error)
    entries.push_back(
        {"95 % interval", R"(<path class="whisker" d="M1 2.5V9.5M1 6H17M17 2.5V9.5"/>)", "c1"});
  if (chance) entries.push_back({"chance", svg_line(9, -1, 9, 13, "chance"), "c1"});
  return entries;
}

Axis value_axis(const BarChart& chart) {
  double low = 0;
  double high = chart.high.value_or(chart.style == NumberStyle::percent ? 1 : 0);
  for (const BarSeries& series : chart.series)
    for (const auto& score : series.bars) {
      if (!score || !std::isfinite(score->value)) continue;
      low = std::min(low, score->value);
      if (!chart.high && chart.style != NumberStyle::percent)
        high = std::max(high, score->value + interval_half(*score));
    }
  return make_axis(low, high, {.ticks = 5});
}

std::string draw(const BarChart& chart, bool alone) {
  const double head = alone ? kHeadingHeight_px : 0;
  const Legend legend = make_legend(legend_entries(chart), 0, head + 2, kChartWidth_px);
  double label_px = 0;
  for (const std::string& name : chart.categories)
    label_px = std::max(label_px, text_width_px(name));
  Frame frame{.value = value_axis(chart),
              .left = std::min(label_px, kLabelMax_px) + 14,
              .right = kChartWidth_px - 64,
              .top = head + legend.height_px + 10};
  const double group_px =
      static_cast<double>(chart.series.size()) * (kBar_px + kBarGap_px) - kBarGap_px + kGroupGap_px;
  frame.bottom = frame.top + static_cast<double>(chart.categories.size()) * group_px;
  const double height = frame.bottom + (chart.value_label.empty() ? 28 : 46);
  const std::string body = (alone ? svg_heading(chart.title) : "") + legend.svg +
                           axes(chart, frame) + groups(chart, frame);
  return alone ? svg_document(kChartWidth_px, height, chart.title, body, chart_css())
               : svg_element(kChartWidth_px, height, chart.title, body);
}

}  // namespace

double interval_half(const Measured& score) {
  return std::isfinite(score.standard_error) ? kNormal95 * score.standard_error : 0;
}

std::string to_svg(const BarChart& chart) {
  return draw(chart, false);
}

Status write_svg(Env& env, const std::string& path, const BarChart& chart) {
  return env.write_file(path, draw(chart, true));
}

std::string interval_svg(const Measured& score, double low, double high, const std::string& tip) {
  constexpr double kWidth_px = 96;
  if (!std::isfinite(score.value) || high <= low) return "";
  const auto at = [&](double v) {
    return 5 + std::clamp((v - low) / (high - low), 0.0, 1.0) * (kWidth_px - 10);
  };
  std::string body = fmt::format("<title>{}</title>", escape_markup(tip));
  body += fmt::format(R"(<rect class="track" width="{}" height="18" rx="3"/>)", kWidth_px);
  if (score.chance) body += svg_line(at(*score.chance), 1.5, at(*score.chance), 16.5, "chance");
  if (const double half = interval_half(score); half > 0) {
    const double from = at(score.value - half);
    body +=
        fmt::format(R"(<rect class="span" x="{:.1f}" y="4.5" width="{:.1f}" height="9" rx="1.5"/>)",
                    from, at(score.value + half) - from);
  }
  body += svg_line(at(score.value), 2, at(score.value), 16, "mark");
  return fmt::format(
      "<svg class=\"chart interval c1\" viewBox=\"0 0 {0} 18\" width=\"{0}\" height=\"18\" "
      "role=\"img\" aria-label=\"{1}\">{2}</svg>",
      kWidth_px, escape_markup(tip), body);
}

}  // namespace boreal::monitor
