#include "monitor/svg.h"

#include "monitor/escape.h"

namespace boreal::monitor {

std::string svg_text(const TextAt& at, std::string_view text) {
  std::string attributes;
  if (at.anchor != Anchor::start)
    attributes +=
        fmt::format(" text-anchor=\"{}\"", at.anchor == Anchor::middle ? "middle" : "end");
  if (!at.css_class.empty()) attributes += fmt::format(" class=\"{}\"", at.css_class);
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}>{}</text>", at.x, at.y, attributes,
                     escape_markup(text));
}

std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return fmt::format(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>)", x1,
                     y1, x2, y2, css_class);
}

std::string colour_class(std::size_t series) {
  return fmt::format("c{}", series % 6 + 1);
}

double text_width_px(std::string_view text) {
  return 6.7 * static_cast<double>(width_columns(text));
}

Legend make_legend(const std::vector<LegendEntry>& entries, double x, double y, double width_px) {
  constexpr double kRow_px = 20;
  constexpr double kSwatch_px = 24;
  constexpr double kGap_px = 16;
  if (entries.empty()) return {};
  Legend legend{.height_px = kRow_px};
  double at_x = 0;
  for (const LegendEntry& entry : entries) {
    const double entry_px = kSwatch_px + text_width_px(entry.name);
    if (at_x > 0 && at_x + entry_px > width_px) {
      at_x = 0;
      legend.height_px += kRow_px;
    }
    const std::string place =
        fmt::format("translate({:.1f} {:.1f})", x + at_x, y + legend.height_px - kRow_px);
    legend.svg += fmt::format("<g class=\"{}\" transform=\"{}\">{}{}</g>", entry.css_class, place,
                              entry.swatch, svg_text({.x = kSwatch_px, .y = 10.5}, entry.name));
    at_x += entry_px + kGap_px;
  }
  return legend;
}

std::string svg_element(double width_px, double height_px, std::string_view label,
                        std::string_view body) {
  return fmt::format(
      R"(<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>)",
      width_px, height_px, escape_markup(label), body);
}

std::string svg_document(double width_px, double height_px, std::string_view label,
                         std::string_view body, std::string_view css) {
  constexpr double kMargin_px = 18;
  const double whole_width_px = width_px + 2 * kMargin_px;
  const double whole_height_px = height_px + 2 * kMargin_px;
  const std::string ground =
      fmt::format(R"(<rect class="panel" x="{0}" y="{0}" width="{1}" height="{2}"/>)", -kMargin_px,
                  whole_width_px, whole_height_px);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"{0} {0} {1} {2}\" "
      "width=\"{1}\" height=\"{2}\" role=\"img\" aria-label=\"{3}\">\n"
      "<style>\n{4}svg.chart .panel{{fill:var(--panel)}}\n</style>{5}{6}</svg>\n",
      -kMargin_px, whole_width_px, whole_height_px, escape_markup(label), css, ground, body);
}

std::string svg_heading(std::string_view title) {
  return svg_text({.x = 0, .y = 12, .css_class = "heading"}, title);
}

}  // namespace boreal::monitor
