#include "monitor/table.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "monitor/escape.h"
#include "monitor/number_text.h"

namespace boreal::monitor {

namespace {

using Json = nlohmann::ordered_json;

std::string styled(double value, const Column& column) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  switch (column.style) {
    case NumberStyle::plain: return fmt::format("{:.{}f}", value, column.decimals);
    case NumberStyle::percent: return fmt::format("{:.{}f}", 100 * value, column.decimals);
    case NumberStyle::count: return count_text(std::llround(value));
    case NumberStyle::duration: return duration_text(value);
    case NumberStyle::bytes: return bytes_text(value);
    case NumberStyle::shortest: return short_text(value);
  }
  return "";
}

std::string styled(std::int64_t value, const Column& column) {
  const bool whole = column.style == NumberStyle::plain || column.style == NumberStyle::count;
  return whole ? count_text(value) : styled(static_cast<double>(value), column);
}

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

void add_cell(Json& row, const std::string& key, const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) row[key] = *text;
  if (const auto* count = std::get_if<std::int64_t>(&cell)) row[key] = *count;
  if (const auto* value = std::get_if<double>(&cell)) row[key] = number(*value);
  if (const auto* flag = std::get_if<bool>(&cell)) row[key] = *flag;
  if (std::holds_alternative<std::monostate>(cell)) row[key] = nullptr;
  if (const auto* measured = std::get_if<Measured>(&cell)) {
    row[key] = number(measured->value);
    row[key + "_stderr"] = number(measured->standard_error);
    if (measured->chance) row[key + "_chance"] = number(*measured->chance);
  }
}

std::string padded(const std::string& text, std::size_t columns, bool right) {
  const std::string gap(columns - std::min(columns, width_columns(text)), ' ');
  return right ? gap + text : text + gap;
}

std::string without_trailing_blanks(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

bool is_number(const Cell& cell) {
  return std::holds_alternative<std::int64_t>(cell) || std::holds_alternative<double>(cell) ||
         std::holds_alternative<Measured>(cell);
}

bool is_number_column(const Table& table, std::size_t column) {
  bool any = false;
  for (const auto& row : table.rows) {
    if (is_number(row[column]))
      any = true;
    else if (!std::holds_alternative<std::monostate>(row[column]))
      return false;
  }
  return any;
}

std::string cell_text(const Cell& cell, const Column& column) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<std::int64_t>(&cell)) return styled(*count, column);
  if (const auto* value = std::get_if<double>(&cell)) return styled(*value, column);
  if (const auto* flag = std::get_if<bool>(&cell)) return *flag ? "yes" : "no";
  if (const auto* measured = std::get_if<Measured>(&cell))
    return styled(measured->value, column) + " ± " + styled(measured->standard_error, column);
  return "";
}

std::string to_text(const Table& table) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : table.columns) lines[0].push_back(printable_line(column.title));
  for (const auto& row : table.rows) {
    CHECK_EQ(row.size(), table.columns.size());
    auto& line = lines.emplace_back();
    for (std::size_t c = 0; c < row.size(); ++c)
      line.push_back(printable_line(cell_text(row[c], table.columns[c])));
  }
  std::vector<std::size_t> widths(table.columns.size(), 0);
  for (const auto& line : lines)
    for (std::size_t c = 0; c < line.size(); ++c)
      widths[c] = std::max(widths[c], width_columns(line[c]));

  std::string rule;
  for (std::size_t c = 0; c < widths.size(); ++c) {
    if (c > 0) rule += "  ";
    for (std::size_t i = 0; i < widths[c]; ++i) rule += "─";
  }
  std::string out = table.title.empty() ? "" : printable_line(table.title) + "\n";
  const std::size_t first_total = lines.size() - std::min(table.total_rows, table.rows.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i == 1 || (i > 1 && i == first_total)) out += rule + "\n";
    std::string text;
    for (std::size_t c = 0; c < widths.size(); ++c)
      text += (c > 0 ? "  " : "") + padded(lines[i][c], widths[c], is_number_column(table, c));
    out += without_trailing_blanks(std::move(text)) + "\n";
  }
  return out;
}

std::string to_json(const Table& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    CHECK_EQ(row.size(), table.columns.size());
    Json object = Json::object();
    for (std::size_t c = 0; c < row.size(); ++c) add_cell(object, table.columns[c].key, row[c]);
    rows.push_back(std::move(object));
  }
  const Json json = {{"title", table.title}, {"rows", std::move(rows)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace boreal::monitor
