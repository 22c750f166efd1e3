#include "corpus/sheet.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "corpus/json_line.h"
#include "corpus/text_file.h"

namespace boreal::corpus {

namespace {

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Reads one CSV row after another. After next(): cells of the row and the line at which it began.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  bool at_end() const { return at_ >= text_.size(); }
  std::int64_t line() const { return line_; }

  Result<std::vector<std::string>> next() {
    std::vector<std::string> cells;
    while (true) {
      std::string cell;
      if (at_ < text_.size() && text_[at_] == '"') {
        ASSIGN_OR_RETURN(cell, quoted());
      } else {
        ASSIGN_OR_RETURN(cell, bare());
      }
      cells.push_back(std::move(cell));
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      end_of_row();
      return cells;
    }
  }

 private:
  Result<std::string> quoted() {
    const std::int64_t opened = line_;
    std::string cell;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        cell += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        cell += '"';
        ++at_;
      } else {
        ++at_;
        if (ends_cell()) return cell;
        return refused(
            "{}:{}: '{}' stands after a closing quote; a quote inside a cell is written twice",
            file_, line_, text_[at_]);
      }
    }
    return refused("{}:{}: the quote that opens here never closes", file_, opened);
  }

  Result<std::string> bare() {
    const std::size_t begin = at_;
    while (!ends_cell()) {
      if (text_[at_] == '"') {
        return refused(
            "{}:{}: a quote in the middle of the cell '{}'; a cell with quotes is quoted as a "
            "whole",
            file_, line_, text_.substr(begin, at_ + 1 - begin));
      }
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  bool ends_cell() const {
    if (at_ >= text_.size() || text_[at_] == ',' || text_[at_] == '\n') return true;
    return text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n');
  }

  void end_of_row() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size()) {
      ++at_;
      ++line_;
    }
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

Status check_header(const Sheet& sheet) {
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < sheet.columns.size(); ++i) {
    const std::string& name = sheet.columns[i];
    if (name.empty()) return refused("{}:1: column {} has no name", sheet.file, i + 1);
    const auto [first, is_new] = seen.emplace(name, i);
    if (!is_new) {
      return refused("{}:1: columns {} and {} are both called '{}'", sheet.file, first->second + 1,
                     i + 1, name);
    }
  }
  return Done{};
}

// What programs write where the system's language asks for another separator.
Status check_separator(const Sheet& sheet) {
  if (sheet.columns.size() != 1) return Done{};
  const std::string& header = sheet.columns.front();
  for (const auto& [separator, name] : {std::pair{';', "semicolons"}, {'\t', "tabs"}})
    if (header.find(separator) != std::string::npos)
      return refused(
          "{}:1: one column, '{}': the cells seem to be separated by {}; save the table with "
          "commas",
          sheet.file, header, name);
  return Done{};
}

// Where no line ends, all would be one header.
Status check_line_ends(std::string_view text, const std::string& file) {
  if (text.find('\n') != std::string_view::npos || text.find('\r') == std::string_view::npos)
    return Done{};
  return refused(
      "{}: its lines end with carriage returns alone; save it with line feeds, e.g. tr '\\r' '\\n'",
      file);
}

Status check_row(const Sheet& sheet, std::size_t cells, std::int64_t line) {
  if (cells == sheet.columns.size()) return Done{};
  return refused(
      "{}:{}: row {} has {} cells and the header has {}: is a separator missing, or a cell with "
      "one not quoted?",
      sheet.file, line, sheet.rows.size() + 1, cells, sheet.columns.size());
}

Status check_not_empty(const Sheet& sheet) {
  if (!sheet.rows.empty()) return Done{};
  if (sheet.columns.empty())
    return refused("{}: an empty table: there is no header line", sheet.file);
  return refused("{}: an empty table: {} columns and 0 rows", sheet.file, sheet.columns.size());
}

Status add_row(Sheet& sheet, std::vector<std::string> cells, std::int64_t line) {
  if (sheet.columns.empty()) {
    sheet.columns = std::move(cells);
    return check_header(sheet);
  }
  RETURN_IF_ERROR(check_row(sheet, cells.size(), line));
  sheet.rows.push_back(std::move(cells));
  sheet.lines.push_back(line);
  return Done{};
}

}  // namespace

std::size_t Sheet::column(std::string_view name) const {
  return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) -
                                  columns.begin());
}

Result<Sheet> parse_csv(std::string_view text, const std::string& file) {
  // Blank lines at the end are no rows; elsewhere they are rows with one cell.
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  RETURN_IF_ERROR(check_line_ends(text, file));
  Sheet sheet;
  sheet.file = file;
  for (CsvReader reader(text, file); !reader.at_end();) {
    const std::int64_t line = reader.line();
    ASSIGN_OR_RETURN(auto cells, reader.next());
    RETURN_IF_ERROR(add_row(sheet, std::move(cells), line));
    if (sheet.rows.empty()) RETURN_IF_ERROR(check_separator(sheet));
  }
  RETURN_IF_ERROR(check_not_empty(sheet));
  return sheet;
}

Result<Sheet> parse_tsv(std::string_view text, const std::string& file) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  RETURN_IF_ERROR(check_line_ends(text, file));
  Sheet sheet;
  sheet.file = file;
  std::int64_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++line_number;
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = without_return(text.substr(begin, end - begin));
    begin = end + 1;
    std::vector<std::string> cells;
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t tab = std::min(line.find('\t', at), line.size());
      cells.emplace_back(line.substr(at, tab - at));
      at = tab + 1;
    }
    RETURN_IF_ERROR(add_row(sheet, std::move(cells), line_number));
  }
  RETURN_IF_ERROR(check_not_empty(sheet));
  return sheet;
}

Result<Sheet> parse_jsonl(std::string_view text, const std::string& file) {
  Sheet sheet;
  sheet.file = file;
  std::unordered_map<std::string, std::size_t> index_of;
  ASSIGN_OR_RETURN(const auto objects, parse_json_lines(text, file));
  for (const JsonObject& object : objects) {
    std::vector<std::string> cells(sheet.columns.size());
    for (const JsonField& field : object.fields) {
      if (field.kind == JsonField::Kind::nested) {
        return refused("{}:{}: the value of '{}' is {}; a table holds text and numbers", file,
                       object.line, field.key, field.text);
      }
      const auto [found, is_new] = index_of.emplace(field.key, sheet.columns.size());
      if (is_new) {
        sheet.columns.push_back(field.key);
        cells.emplace_back();
      }
      cells[found->second] = field.text;
    }
    sheet.rows.push_back(std::move(cells));
    sheet.lines.push_back(object.line);
  }
  for (auto& row : sheet.rows) row.resize(sheet.columns.size());
  if (!sheet.rows.empty()) RETURN_IF_ERROR(check_header(sheet));
  RETURN_IF_ERROR(check_not_empty(sheet));
  return sheet;
}

Result<Sheet> read_sheet(Env& env, const std::string& path) {
  using Parser = Result<Sheet> (*)(std::string_view, const std::string&);
  const std::string suffix = data_suffix(path);
  Parser parser = nullptr;
  if (suffix == ".csv") parser = parse_csv;
  if (suffix == ".tsv" || suffix == ".tab") parser = parse_tsv;
  if (suffix == ".jsonl" || suffix == ".ndjson") parser = parse_jsonl;
  if (parser == nullptr) {
    return wrong_usage("{}: a table ends in .csv, .tsv or .jsonl (also .gz, .zst), not in '{}'",
                       path, suffix);
  }
  ASSIGN_OR_RETURN(const std::string text, read_text_file(env, path));
  return parser(text, path);
}

}  // namespace boreal::corpus
