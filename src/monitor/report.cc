#include "monitor/report.h"

#include <algorithm>
#include <cmath>

#include "monitor/escape.h"
#include "monitor/number_text.h"
#include "monitor/report_css.h"

namespace boreal::monitor {

namespace {

// A column's scores are drawn on one scale: 0..1 for shares, else from zero to the largest end of
// an interval.
struct Scale {
  bool drawn = false;
  double low = 0;
  double high = 0;
};

Scale scale_of(const Table& table, std::size_t column) {
  Scale scale;
  if (table.columns[column].style == NumberStyle::percent) scale.high = 1;
  for (const auto& row : table.rows) {
    const auto* score = std::get_if<Measured>(&row[column]);
    if (score == nullptr || !std::isfinite(score->value)) continue;
    scale.drawn = true;
    if (table.columns[column].style == NumberStyle::percent) continue;
    scale.low = std::min(scale.low, score->value - interval_half(*score));
    scale.high = std::max(scale.high, score->value + interval_half(*score));
  }
  return scale;
}

std::string header_row(const Table& table, const std::vector<Scale>& scales) {
  std::string out = "<thead><tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    out += fmt::format("<th scope=\"col\"{}{}>{}</th>", scales[c].drawn ? " colspan=\"2\"" : "",
                       is_number_column(table, c) ? " class=\"number\"" : "",
                       escape_markup(table.columns[c].title));
  }
  return out + "</tr></thead>\n";
}

std::string score_cells(const Measured& score, const Column& column, const Scale& scale) {
  std::string tip = cell_text(score, column);
  if (score.chance) tip += ", chance " + cell_text(*score.chance, column);
  return fmt::format(
      "<td class=\"picture\">{}</td>"
      "<td class=\"number\">{}<span class=\"error\"> ± {}</span></td>",
      interval_svg(score, scale.low, scale.high, tip),
      escape_markup(cell_text(score.value, column)),
      escape_markup(cell_text(score.standard_error, column)));
}

std::string cells(const Cell& cell, const Table& table, std::size_t c, const Scale& scale) {
  const Column& column = table.columns[c];
  if (const auto* score = std::get_if<Measured>(&cell)) return score_cells(*score, column, scale);
  const std::string text = cell_text(cell, column);
  const std::string css_class = is_number_column(table, c) ? " class=\"number\"" : "";
  const std::string shown = text.empty() ? "<span class=\"none\">–</span>" : escape_markup(text);
  return fmt::format("{}<td{}>{}</td>", scale.drawn ? "<td></td>" : "", css_class, shown);
}

std::string scores_key(const Table& table) {
  bool score = false;
  bool chance = false;
  for (const auto& row : table.rows)
    for (const Cell& cell : row)
      if (const auto* measured = std::get_if<Measured>(&cell)) {
        score = true;
        chance = chance || measured->chance.has_value();
      }
  if (!score) return "";
  return std::string("± is one standard error; the band spans the 95 % interval") +
         (chance ? ", the dashed mark is chance." : ".");
}

// Rows as full as can be.
std::size_t figure_columns(std::size_t count) {
  if (count == 5) return 5;
  return count == 3 || count == 6 || count == 9 ? 3 : 4;
}

std::string sample_item(const Sample& sample) {
  // Blanks between prompt and completion stay outside of the coloured part.
  const std::size_t blanks =
      std::min(sample.completion.find_first_not_of(" \t\n"), sample.completion.size());
  const std::string_view completion = sample.completion;
  std::string out =
      fmt::format("<li><p class=\"text\"><span class=\"prompt\">{}</span>{}<mark>{}</mark></p>",
                  escape_markup(sample.prompt), completion.substr(0, blanks),
                  escape_markup(completion.substr(blanks)));
  std::vector<std::string> parts;
  if (sample.correct) {
    parts.emplace_back(*sample.correct ? "<span class=\"right\">✓ right</span>"
                                       : "<span class=\"wrong\">✗ wrong</span>");
  }
  if (!sample.expected.empty()) parts.push_back("expected: " + escape_markup(sample.expected));
  if (!sample.note.empty()) parts.push_back(escape_markup(sample.note));
  if (!parts.empty()) out += fmt::format("<p class=\"verdict\">{}</p>", fmt::join(parts, " · "));
  return out + "</li>\n";
}

}  // namespace

void Report::add_section(const std::string& title, const std::string& lead) {
  if (!sections_.empty()) body_ += "</section>\n";
  sections_.push_back(title);
  body_ +=
      fmt::format("<section id=\"s{}\">\n<h2>{}</h2>\n", sections_.size(), escape_markup(title));
  if (!lead.empty()) body_ += fmt::format("<p class=\"lead\">{}</p>\n", escape_markup(lead));
}

void Report::add_text(const std::string& paragraph) {
  body_ += fmt::format("<p>{}</p>\n", escape_markup(paragraph));
}

void Report::add_figures(const std::vector<Figure>& figures) {
  body_ += fmt::format("<dl class=\"figures n{}\">\n", figure_columns(figures.size()));
  for (const Figure& figure : figures) {
    body_ += fmt::format("<div><dt>{}</dt><dd class=\"big\">{}", escape_markup(figure.label),
                         escape_markup(figure.value));
    if (!figure.unit.empty())
      body_ += fmt::format("<span class=\"unit\">{}</span>", escape_markup(figure.unit));
    body_ += "</dd>";
    if (!figure.note.empty())
      body_ += fmt::format("<dd class=\"note\">{}</dd>", escape_markup(figure.note));
    body_ += "</div>\n";
  }
  body_ += "</dl>\n";
}

void Report::add_figure_element(const std::string& title, const std::string& content,
                                const std::string& caption) {
  body_ += "<figure>\n";
  if (!title.empty()) body_ += fmt::format("<h3>{}</h3>\n", escape_markup(title));
  body_ += content;
  if (!caption.empty())
    body_ += fmt::format("<figcaption>{}</figcaption>\n", escape_markup(caption));
  body_ += "</figure>\n";
}

void Report::add_table(const Table& table) {
  std::vector<Scale> scales;
  for (std::size_t c = 0; c < table.columns.size(); ++c) scales.push_back(scale_of(table, c));
  std::string out = "<div class=\"scroll\"><table>\n" + header_row(table, scales) + "<tbody>\n";
  const std::size_t first_total = table.rows.size() - std::min(table.total_rows, table.rows.size());
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    CHECK_EQ(table.rows[r].size(), table.columns.size());
    out += r < first_total    ? "<tr>"
           : r == first_total ? "<tr class=\"total first\">"
                              : "<tr class=\"total\">";
    for (std::size_t c = 0; c < table.columns.size(); ++c)
      out += cells(table.rows[r][c], table, c, scales[c]);
    out += "</tr>\n";
  }
  add_figure_element(table.title, out + "</tbody></table></div>\n", scores_key(table));
}

void Report::add_line_chart(const LineChart& chart) {
  add_figure_element(chart.title, "<div class=\"scroll\">" + to_svg(chart) + "</div>\n",
                     chart.caption);
}

void Report::add_bar_chart(const BarChart& chart) {
  add_figure_element(chart.title, "<div class=\"scroll\">" + to_svg(chart) + "</div>\n",
                     chart.caption);
}

void Report::add_samples(const std::vector<Sample>& samples) {
  body_ += "<ul class=\"samples\">\n";
  for (const Sample& sample : samples) body_ += sample_item(sample);
  body_ += "</ul>\n";
}

void Report::add_preformatted(const std::string& title, const std::string& text) {
  // An HTML parser drops a newline right behind <pre>: this one, not the text's.
  add_figure_element(title, fmt::format("<pre>\n{}</pre>\n", escape_markup(text)), "");
}

void Report::add_stages(const std::vector<StageTime>& stages) {
  double total_s = 0;
  for (const StageTime& stage : stages) total_s += std::max(stage.wall_s, 0.0);
  std::string out =
      "<div class=\"scroll\"><table class=\"stages\">\n<thead><tr><th scope=\"col\">stage</th><th "
      "scope=\"col\"></th>"
      "<th scope=\"col\" class=\"number\">time</th><th scope=\"col\" class=\"number\">share</th>"
      "<th scope=\"col\"></th></tr></thead>\n<tbody>\n";
  double before_s = 0;
  for (const StageTime& stage : stages) {
    const double wall_s = std::max(stage.wall_s, 0.0);
    const double scale = total_s > 0 ? 100 / total_s : 0;
    out += fmt::format(
        "<tr><td>{}</td><td class=\"track\"><div><span "
        "style=\"margin-left:{:.2f}%;width:{:.2f}%\"></span></div></td>"
        "<td class=\"number\">{}</td><td class=\"number\">{:.0f} %</td><td "
        "class=\"error\">{}</td></tr>\n",
        escape_markup(stage.name), before_s * scale, wall_s * scale, duration_text(wall_s),
        wall_s * scale, escape_markup(stage.note));
    before_s += wall_s;
  }
  out += fmt::format(
      "<tr class=\"total first\"><td>all</td><td></td><td "
      "class=\"number\">{}</td><td></td><td></td></tr>\n",
      duration_text(total_s));
  add_figure_element("", out + "</tbody></table></div>\n", "");
}

std::string Report::html() const {
  std::string head = fmt::format("<h1>{}</h1>\n", escape_markup(head_.title));
  if (!head_.subtitle.empty())
    head += fmt::format("<p class=\"subtitle\">{}</p>\n", escape_markup(head_.subtitle));
  if (!head_.facts.empty()) {
    head += "<dl class=\"facts\">";
    for (const auto& [name, value] : head_.facts)
      head += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escape_markup(name),
                          escape_markup(value));
    head += "</dl>\n";
  }
  std::string nav;
  if (sections_.size() >= 3) {
    nav = "<nav aria-label=\"sections\"><ul>";
    for (std::size_t i = 0; i < sections_.size(); ++i)
      nav += fmt::format("<li><a href=\"#s{}\">{}</a></li>", i + 1, escape_markup(sections_[i]));
    nav += "</ul></nav>\n";
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; img-src data:\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link "
      "rel=\"icon\" href=\"data:,\">\n"
      "<title>{}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<header>\n{}</"
      "header>\n{}<main>\n{}{}</main>\n"
      "<footer>boreal {}</footer>\n</body>\n</html>\n",
      escape_markup(head_.title), chart_css(), report_css(), head, nav, body_,
      sections_.empty() ? "" : "</section>\n", BOREAL_VERSION);
}

Status Report::write(Env& env, const std::string& path) const {
  return env.write_file(path, html());
}

}  // namespace boreal::monitor
