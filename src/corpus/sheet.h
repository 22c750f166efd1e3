// Sheet: a table as it stands in its file, all cells as text: CSV (RFC 4180), TSV, or JSON lines
// with one flat object a line. Refused, with file and place: a row with another number of cells, a
// column twice or without a name, no rows, text after a closing quote, a quote that never closes,
// bad or nested JSON. Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::corpus {

struct Sheet {
  std::string file;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns
  std::vector<std::int64_t> lines;             // line of the file at which a row begins, from 1

  // Index of a column; columns.size() if there is none.
  std::size_t column(std::string_view name) const;
};

// By ending: .csv, .tsv, .jsonl or .ndjson, each also .gz or .zst. kind usage for another ending.
Result<Sheet> read_sheet(Env& env, const std::string& path);

Result<Sheet> parse_csv(std::string_view text, const std::string& file);
Result<Sheet> parse_tsv(std::string_view text, const std::string& file);
// The columns are the keys in order of first appearance; an absent key or null is an empty cell.
Result<Sheet> parse_jsonl(std::string_view text, const std::string& file);

}  // namespace boreal::corpus
