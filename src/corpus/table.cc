#include "corpus/table.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "base/philox.h"

namespace boreal::corpus {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

// One line, no blanks at the ends, runs of white space as one blank.
std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (!is_blank(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::vector<std::string> split_aliases(std::string_view cell) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= cell.size();) {
    const std::size_t end = std::min(cell.find(';', begin), cell.size());
    std::string name = on_one_line(cell.substr(begin, end - begin));
    if (!name.empty()) names.push_back(std::move(name));
    begin = end + 1;
  }
  return names;
}

bool holds_letter(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalpha(c) != 0 || c >= 0x80; });
}

void add_facts(const ColumnSpec& column, std::size_t index, const std::string& value,
               const std::string& unit, bool identifier, Record& record) {
  const auto parts = sequence_parts(value);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Fact fact;
    fact.property = column.property;
    fact.asked = parts.size() == 1
                     ? column.property
                     : fmt::format("{}, part {} of {}", column.property, i + 1, parts.size());
    fact.value = parts[i];
    fact.unit = unit;
    fact.column = index;
    fact.identifier = identifier;
    record.facts.push_back(std::move(fact));
  }
}

Record make_record(const Sheet& sheet, const TableSpec& spec, std::size_t row) {
  const auto& cells = sheet.rows[row];
  Record record;
  record.name = on_one_line(cells[sheet.column(spec.record)]);
  record.line = sheet.lines[row];
  if (!spec.aliases.empty()) record.aliases = split_aliases(cells[sheet.column(spec.aliases)]);
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    const ColumnSpec& column = spec.columns[i];
    const std::string value = on_one_line(cells[sheet.column(column.name)]);
    if (column.note || value.empty()) continue;
    const bool identifier = std::find(spec.identifiers.begin(), spec.identifiers.end(),
                                      column.name) != spec.identifiers.end();
    if (identifier) record.identifiers.push_back(value);
    const std::string unit = column.unit_column.empty()
                                 ? column.unit
                                 : on_one_line(cells[sheet.column(column.unit_column)]);
    add_facts(column, i, format_value(value, column.format), unit, identifier, record);
  }
  return record;
}

// Keeps the records whose hash is lowest, in file order.
void keep_by_hash(Table& table, const TableOptions& options) {
  const auto most = static_cast<std::size_t>(options.records_max);
  if (most == 0 || table.records.size() <= most) return;
  const std::uint64_t key = mix(mix(options.seed, "records"), table.spec.table);
  std::vector<std::size_t> order(table.records.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(mix(key, table.records[a].name), a) <
           std::pair(mix(key, table.records[b].name), b);
  });
  std::vector<bool> kept(order.size(), false);
  for (std::size_t i = 0; i < most; ++i) kept[order[i]] = true;
  std::vector<Record> records;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i]) {
      records.push_back(std::move(table.records[i]));
    } else {
      table.dropped.add("record beyond max_records", table.records[i].name);
    }
  }
  table.records = std::move(records);
}

}  // namespace

Result<Table> make_table(const Sheet& sheet, TableSpec spec, const TableOptions& options) {
  RETURN_IF_ERROR(check_columns(spec, sheet));
  if (spec.drafted && sheet.columns.size() < 2) {
    return refused(
        "{}: one column, '{}'; a table needs a column of names and at least one property",
        sheet.file, sheet.columns.front());
  }
  Table table;
  table.spec = std::move(spec);
  table.file = sheet.file;
  table.source = options.source;
  table.bundle = !options.bundle.empty()       ? options.bundle
                 : !table.spec.tranche.empty() ? table.spec.tranche
                                               : options.source;
  table.licence = options.licence.empty() ? table.spec.licence : options.licence;
  table.rows_read = static_cast<std::int64_t>(sheet.rows.size());
  std::unordered_set<std::string> names;
  for (std::size_t row = 0; row < sheet.rows.size(); ++row) {
    Record record = make_record(sheet, table.spec, row);
    if (record.name.empty()) {
      table.dropped.add("row without a name", fmt::format("{}:{}", sheet.file, record.line));
    } else if (!names.insert(record.name).second) {
      table.dropped.add("second row of a name",
                        fmt::format("{}:{}: {}", sheet.file, record.line, record.name));
    } else {
      table.records.push_back(std::move(record));
    }
  }
  keep_by_hash(table, options);
  return table;
}

Result<Table> read_table(Env& env, const std::string& path, const TableOptions& options) {
  ASSIGN_OR_RETURN(const Sheet sheet, read_sheet(env, path));
  const std::string spec_path = table_spec_path(path);
  TableSpec spec = draft_table_spec(sheet);
  if (env.exists(spec_path)) {
    ASSIGN_OR_RETURN(spec, load_table_spec(env, spec_path));
  }
  return make_table(sheet, std::move(spec), options);
}

void settle_names(std::vector<Table>& tables) {
  // A record counts a name once, however often it bears it.
  std::unordered_map<std::string, int> bearers;
  for (const Table& table : tables) {
    for (const Record& record : table.records) {
      std::unordered_set<std::string> own = {record.name};
      own.insert(record.identifiers.begin(), record.identifiers.end());
      own.insert(record.aliases.begin(), record.aliases.end());
      for (const auto& name : own) ++bearers[name];
    }
  }
  std::unordered_map<std::string, std::string> asked_by;
  for (Table& table : tables) {
    for (Record& record : table.records) {
      record.other_names.clear();
      for (const auto* list : {&record.identifiers, &record.aliases}) {
        for (const auto& name : *list) {
          const bool listed =
              std::count(record.other_names.begin(), record.other_names.end(), name) > 0;
          if (bearers[name] == 1 && holds_letter(name) && name != record.name && !listed) {
            record.other_names.push_back(name);
          }
        }
      }
      std::erase_if(record.facts, [&](const Fact& fact) {
        const auto [first, is_new] =
            asked_by.emplace(record.name + "\n" + fact.asked, table.spec.table);
        if (is_new) return false;
        table.dropped.add(
            "question of another table",
            fmt::format("{} of {} ({} asks it too)", fact.asked, record.name, first->second));
        return true;
      });
    }
  }
}

}  // namespace boreal::corpus
