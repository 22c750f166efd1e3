#include <algorithm>
#include <cmath>
#include <limits>

#include "monitor/axis.h"
#include "monitor/chart.h"
#include "monitor/escape.h"
#include "monitor/number_text.h"
#include "monitor/svg.h"

namespace boreal::monitor {

namespace {

constexpr std::size_t kPathPoints = 1600;  // about two a pixel
constexpr std::size_t kTips = 120;
constexpr std::size_t kSmoothFrom = 40;  // points

struct Frame {
  Axis x;
  Axis y;
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;

  double at_x(double value) const { return left + x.position(value) * (right - left); }
  double at_y(double value) const { return bottom - y.position(value) * (bottom - top); }
};

bool shown(const LineChart& chart, const Point& p) {
  return std::isfinite(p.x) && std::isfinite(p.y) && (!chart.log_x || p.x > 0) &&
         (!chart.log_y || p.y > 0);
}

// Exponential mean with a memory of 1/50 of the line, freed of its start's bias.
std::vector<Point> smoothed(const LineChart& chart, const std::vector<Point>& points) {
  const double keep = std::exp(-50.0 / static_cast<double>(points.size()));
  std::vector<Point> out = points;
  double sum = 0;
  double weight = 0;
  for (Point& p : out) {
    if (!shown(chart, p)) continue;
    sum = keep * sum + p.y;
    weight = keep * weight + 1;
    p.y = sum / weight;
  }
  return out;
}

bool is_smoothed(const Series& series) {
  return series.smooth && series.points.size() >= kSmoothFrom;
}

// At most about kPathPoints: of each stretch the first, lowest, highest and last, so that no spike
// is lost.
std::vector<Point> thinned(const std::vector<Point>& points) {
  if (points.size() <= kPathPoints) return points;
  const std::size_t stretches = kPathPoints / 4;
  std::vector<Point> out;
  for (std::size_t s = 0; s < stretches; ++s) {
    const std::size_t begin = s * points.size() / stretches;
    const std::size_t end = (s + 1) * points.size() / stretches;
    std::size_t lowest = begin;
    std::size_t highest = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (points[i].y < points[lowest].y) lowest = i;
      if (points[i].y > points[highest].y) highest = i;
    }
    std::vector<std::size_t> kept = {begin, lowest, highest, end - 1};
    std::ranges::sort(kept);
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    for (const std::size_t i : kept) out.push_back(points[i]);
  }
  return out;
}

std::string path(const LineChart& chart, const Frame& frame, const std::vector<Point>& points,
                 std::string_view css_class) {
  std::string d;
  bool pen_down = false;
  for (const Point& p : thinned(points)) {
    if (!shown(chart, p)) {
      pen_down = false;
      continue;
    }
    d += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", frame.at_x(p.x), frame.at_y(p.y));
    pen_down = true;
  }
  return d.empty() ? "" : fmt::format(R"(<path class="{}" d="{}"/>)", css_class, d);
}

struct Bounds {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

std::vector<LegendEntry> legend_entries(const LineChart& chart) {
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    std::string swatch =
        fmt::format(R"(<path class="line{}" d="M0 6L18 6"/>)", series.dashed ? " dashed" : "");
    if (series.markers) swatch += R"(<circle class="dot" cx="9" cy="6" r="4"/>)";
    const std::string note = is_smoothed(series) ? " (running mean; faint: each point)" : "";
    if (chart.series.size() > 1 || !note.empty())
      entries.push_back({series.name + note, std::move(swatch), colour_class(i)});
  }
  return entries;
}

// The last value at the end of each line, moved apart where they would overlap.
struct EndLabel {
  double y = 0;
  std::string text = {};
  std::string css_class = {};
};

std::string x_text(double value) {
  const bool whole = value == std::round(value) && std::fabs(value) < 1e15;
  return whole ? count_text(std::llround(value)) : fmt::format("{:.6g}", value);
}

std::string value_text(double value) {
  const double size = std::fabs(value);
  if (size == 0) return "0";
  if (size < 0.001 || size >= 1e4)
    return size >= 1e4 ? short_text(value) : fmt::format("{:.3g}", value);
  return fmt::format("{:.{}f}", value, size < 10 ? 3 : 1);
}

std::vector<EndLabel> end_labels(const LineChart& chart, const Frame& frame) {
  constexpr double kApart_px = 15;
  std::vector<EndLabel> labels;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    const std::vector<Point> points =
        is_smoothed(series) ? smoothed(chart, series.points) : series.points;
    const auto last = std::find_if(points.rbegin(), points.rend(),
                                   [&](const Point& p) { return shown(chart, p); });
    if (last != points.rend())
      labels.push_back({frame.at_y(last->y), value_text(last->y), colour_class(i)});
  }
  std::ranges::sort(labels, {}, &EndLabel::y);
  for (std::size_t i = 1; i < labels.size(); ++i)
    labels[i].y = std::max(labels[i].y, labels[i - 1].y + kApart_px);
  // Pushed out below: move the stack up as far as it must.
  double limit = frame.bottom;
  for (auto label = labels.rbegin(); label != labels.rend(); ++label) {
    label->y = std::min(label->y, limit);
    limit = label->y - kApart_px;
  }
  return labels;
}

std::string axes(const LineChart& chart, const Frame& frame) {
  std::string out;
  for (const double tick : frame.y.ticks) {
    const double y = frame.at_y(tick);
    out += svg_line(frame.left, y, frame.right, y, "grid");
    out += svg_text({.x = frame.left - 8, .y = y + 4, .anchor = Anchor::end},
                    tick_text(frame.y, tick));
  }
  out += svg_line(frame.left, frame.bottom, frame.right, frame.bottom, "base");
  for (const double tick : frame.x.ticks) {
    const double x = frame.at_x(tick);
    out += svg_line(x, frame.bottom, x, frame.bottom + 4, "base");
    out += svg_text({.x = x, .y = frame.bottom + 18, .anchor = Anchor::middle},
                    tick_text(frame.x, tick));
  }
  out += svg_text(
      {.x = (frame.left + frame.right) / 2, .y = frame.bottom + 38, .anchor = Anchor::middle},
      chart.x_label);
  return out + svg_text({.x = 0, .y = frame.top - 12}, chart.y_label);
}

// Where values are told: at most about kTips places, and wherever a marker stands.
std::vector<double> tip_places(const LineChart& chart) {
  const auto sorted = [](std::vector<double> xs) {
    std::ranges::sort(xs);
    xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
    return xs;
  };
  std::vector<double> all;
  std::vector<double> places;
  for (const Series& series : chart.series) {
    for (const Point& p : series.points) {
      if (!shown(chart, p)) continue;
      all.push_back(p.x);
      if (series.markers && series.points.size() <= kTips) places.push_back(p.x);
    }
  }
  all = sorted(std::move(all));
  const std::size_t count = std::min(kTips, all.size());
  for (std::size_t i = 0; i < count; ++i)
    places.push_back(all[count == 1 ? 0 : i * (all.size() - 1) / (count - 1)]);
  return sorted(std::move(places));
}

// Bands across the plot: the one under the pointer shows a guide, the points and, in a title, the
// values.
std::string tips(const LineChart& chart, const Frame& frame) {
  const std::vector<double> at = tip_places(chart);
  const std::size_t count = at.size();
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = frame.at_x(at[i]);
    const double from = i == 0 ? frame.left : (x + frame.at_x(at[i - 1])) / 2;
    const double to = i + 1 == count ? frame.right : (x + frame.at_x(at[i + 1])) / 2;
    std::string text = fmt::format("{} {}", chart.x_label, x_text(at[i]));
    std::string dots;
    for (std::size_t s = 0; s < chart.series.size(); ++s) {
      const auto& points = chart.series[s].points;
      const auto found = std::ranges::lower_bound(points, at[i], {}, &Point::x);
      if (found == points.end() || found->x != at[i] || !shown(chart, *found)) continue;
      text += fmt::format("\n{} {}", chart.series[s].name, value_text(found->y));
      dots += fmt::format(R"(<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="4"/>)",
                          colour_class(s), x, frame.at_y(found->y));
    }
    out += fmt::format(
        "<g class=\"hit\"><title>{}</title>"
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>"
        "<g class=\"show\">{}{}</g></g>",
        escape_markup(text), from, frame.top, std::max(to - from, 0.1), frame.bottom - frame.top,
        svg_line(x, frame.top, x, frame.bottom, "guide"), dots);
  }
  return out;
}

std::string lines(const LineChart& chart, const Frame& frame) {
  std::string out;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    out += fmt::format(R"(<g class="{}">)", colour_class(i));
    if (is_smoothed(series)) out += path(chart, frame, series.points, "raw");
    out += path(chart, frame, is_smoothed(series) ? smoothed(chart, series.points) : series.points,
                series.dashed ? "line dashed" : "line");
    for (const Point& p : series.points)
      if (series.markers && shown(chart, p))
        out += fmt::format(R"(<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"/>)",
                           frame.at_x(p.x), frame.at_y(p.y));
    out += "</g>";
  }
  for (const EndLabel& label : end_labels(chart, frame))
    out += fmt::format(
        R"(<g class="{}">{}</g>)", label.css_class,
        svg_text({.x = frame.right + 8, .y = label.y + 4, .css_class = "own value"}, label.text));
  return out;
}

std::string draw(const LineChart& chart, bool alone) {
  Bounds x;
  Bounds y;
  for (const Series& series : chart.series)
    for (const Point& p : series.points)
      if (shown(chart, p)) {
        x.add(p.x);
        y.add(p.y);
      }
  if (chart.y_from_zero && !chart.log_y) y.add(0);
  const double head = alone ? kHeadingHeight_px : 0;
  const double height = chart.height_px + head;
  std::string body = alone ? svg_heading(chart.title) : "";
  if (x.empty()) {
    body +=
        svg_text({.x = kChartWidth_px / 2, .y = height / 2, .anchor = Anchor::middle}, "no data");
  } else {
    const Legend legend = make_legend(legend_entries(chart), 0, head + 2, kChartWidth_px);
    Frame frame{.x = make_axis(x.low, x.high, {.log = chart.log_x, .extend = false, .ticks = 8}),
                .y = make_axis(y.low, y.high, {.log = chart.log_y, .ticks = 5}),
                .top = head + legend.height_px + 34,
                .right = kChartWidth_px - 58,
                .bottom = height - 46};
    for (const double tick : frame.y.ticks)
      frame.left = std::max(frame.left, text_width_px(tick_text(frame.y, tick)) + 14);
    for (const EndLabel& label : end_labels(chart, frame))
      frame.right = std::min(frame.right, kChartWidth_px - text_width_px(label.text) - 12);
    body += legend.svg + axes(chart, frame) + lines(chart, frame) + tips(chart, frame);
  }
  return alone ? svg_document(kChartWidth_px, height, chart.title, body, chart_css())
               : svg_element(kChartWidth_px, height, chart.title, body);
}

}  // namespace

std::string to_svg(const LineChart& chart) {
  return draw(chart, false);
}

Status write_svg(Env& env, const std::string& path, const LineChart& chart) {
  return env.write_file(path, draw(chart, true));
}

}  // namespace boreal::monitor
