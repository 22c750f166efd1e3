// Table: rows of typed cells, written once and shown three ways: as text for stdout, as JSON for
// scripts, and in a report (report.h). Thread rule: a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace boreal::monitor {

// A measured value. `chance` is what guessing reaches.
struct Measured {
  double value = 0;
  double standard_error = 0;
  std::optional<double> chance = {};
};

using Cell = std::variant<std::monostate, std::string, std::int64_t, double, bool, Measured>;

enum class NumberStyle {
  plain,     // fixed decimals
  percent,   // a share in 0..1, shown times 100
  count,     // whole, with thousands separated
  duration,  // seconds, shown as "1:05"
  bytes,     // shown as "1.5 MB"
  shortest,  // three significant digits with a decimal prefix
};

struct Column {
  std::string key = {};    // in JSON
  std::string title = {};  // shown; may name the unit
  NumberStyle style = NumberStyle::plain;
  int decimals = 3;  // of plain, percent
};

struct Table {
  std::string title = {};
  std::vector<Column> columns = {};
  std::vector<std::vector<Cell>> rows = {};  // each as long as columns
  std::size_t total_rows = 0;                // so many last rows sum up the others
};

// Cells that hold numbers are set to the right, as is a column that holds only such cells.
bool is_number(const Cell& cell);
bool is_number_column(const Table& table, std::size_t column);

// "84.2 ± 1.1"; empty for no value.
std::string cell_text(const Cell& cell, const Column& column);

// Aligned columns, a rule under the header; ends with a newline. Control characters in texts are
// made visible.
std::string to_text(const Table& table);

// {"title": ..., "rows": [{key: value, ...}]}; a Measured gives key, key_stderr and, if it has one,
// key_chance; no value, infinity and not a number give null.
std::string to_json(const Table& table);

}  // namespace boreal::monitor
