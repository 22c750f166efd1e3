#include "corpus/table_spec.h"

#include <algorithm>
#include <set>

#include "corpus/text_file.h"
#include "spec/node.h"

namespace boreal::corpus {

namespace {

// Reads the text of a key into `text`; an absent key leaves it as it is, or is an error if it is
// needed.
Status read_text(const spec::Node& map, const std::string& key, std::string& text,
                 bool needed = false) {
  const auto node = map.find(key);
  if (!node) {
    if (needed) return wrong_usage("{}: the key '{}' is missing", map.where(), key);
    return Done{};
  }
  ASSIGN_OR_RETURN(text, node->as_string(key));
  if (needed && text.empty()) return wrong_usage("{}: '{}' is empty", node->where(), key);
  return Done{};
}

Result<std::set<std::string>> read_sources(const spec::Node& root) {
  std::set<std::string> ids;
  if (const auto sources = root.find("sources")) {
    for (const std::string& id : sources->keys()) {
      std::string citation;
      RETURN_IF_ERROR(read_text(*sources, id, citation, true));
      ids.insert(id);
    }
  }
  return ids;
}

Status check_tolerances(const spec::Node& entry) {
  for (const std::string key : {"tolerance", "tolerance_abs"}) {
    if (const auto node = entry.find(key)) {
      ASSIGN_OR_RETURN(const double value, node->as_double(key));
      if (!(value >= 0))
        return wrong_usage("{}: {} is {}, expected 0 or more", node->where(), key, value);
    }
  }
  return Done{};
}

Result<ColumnSpec> read_column(const spec::Node& entry, const std::set<std::string>& sources) {
  RETURN_IF_ERROR(entry.allow_only({"name", "property", "unit", "unit_column", "source",
                                    "tolerance", "tolerance_abs", "role", "format"}));
  ColumnSpec column;
  std::string role, source, format;
  RETURN_IF_ERROR(read_text(entry, "name", column.name, true));
  RETURN_IF_ERROR(read_text(entry, "role", role));
  RETURN_IF_ERROR(read_text(entry, "source", source));
  RETURN_IF_ERROR(read_text(entry, "unit", column.unit));
  RETURN_IF_ERROR(read_text(entry, "unit_column", column.unit_column));
  RETURN_IF_ERROR(read_text(entry, "format", format));
  RETURN_IF_ERROR(check_tolerances(entry));
  if (!role.empty() && role != "note") {
    return wrong_usage("{}: role is '{}'; the only role is note", entry.where(), role);
  }
  column.note = role == "note";
  RETURN_IF_ERROR(read_text(entry, "property", column.property, !column.note));
  if (column.note && !column.property.empty()) {
    return wrong_usage("{}: '{}' is a note and has the property '{}'; it can only be one of both",
                       entry.where(), column.name, column.property);
  }
  if (!column.unit.empty() && !column.unit_column.empty()) {
    return wrong_usage("{}: '{}' has the unit '{}' and the unit column '{}'; give one",
                       entry.where(), column.name, column.unit, column.unit_column);
  }
  if (!source.empty() && !sources.contains(source)) {
    const auto near = spec::nearest(source, {sources.begin(), sources.end()});
    return wrong_usage("{}: source '{}' is not among the sources{}", entry.where(), source,
                       near ? fmt::format("; did you mean '{}'?", *near) : "");
  }
  if (!format.empty()) {
    ASSIGN_OR_RETURN(column.format, NumberFormat::parse(format, entry.where()));
  }
  return column;
}

Status check_properties(const TableSpec& spec, const std::string& path) {
  std::set<std::string> names, properties;
  for (const ColumnSpec& column : spec.columns) {
    if (!names.insert(column.name).second) {
      return wrong_usage("{}: the column '{}' is listed twice", path, column.name);
    }
    if (!column.note && !properties.insert(column.property).second) {
      return wrong_usage("{}: two columns ask for the property '{}', the second is '{}'", path,
                         column.property, column.name);
    }
  }
  if (properties.empty()) return wrong_usage("{}: no column is a property", path);
  for (const std::string& identifier : spec.identifiers) {
    if (!names.contains(identifier)) {
      return wrong_usage("{}: the identifier '{}' is not among the columns", path, identifier);
    }
  }
  for (const ColumnSpec& column : spec.columns) {
    if (!column.unit_column.empty() && !names.contains(column.unit_column)) {
      return wrong_usage("{}: the unit column '{}' of '{}' is not among the columns", path,
                         column.unit_column, column.name);
    }
  }
  return Done{};
}

// A YAML double-quoted scalar.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string spaced(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', ' ');
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return std::string(name);
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::string table_spec_path(const std::string& table_path) {
  return join_path(parent_path(table_path), data_stem(table_path) + ".yaml");
}

Result<TableSpec> load_table_spec(Env& env, const std::string& path) {
  ASSIGN_OR_RETURN(const spec::Node root, spec::Node::parse_file(env, path));
  RETURN_IF_ERROR(
      root.allow_only({"table", "title", "tranche", "licence", "kind", "record", "identifiers",
                       "aliases", "second_source", "sources", "columns"}));
  TableSpec spec;
  RETURN_IF_ERROR(read_text(root, "table", spec.table, true));
  RETURN_IF_ERROR(read_text(root, "title", spec.title));
  RETURN_IF_ERROR(read_text(root, "tranche", spec.tranche));
  RETURN_IF_ERROR(read_text(root, "licence", spec.licence, true));
  RETURN_IF_ERROR(read_text(root, "kind", spec.kind));
  RETURN_IF_ERROR(read_text(root, "record", spec.record, true));
  RETURN_IF_ERROR(read_text(root, "aliases", spec.aliases));
  RETURN_IF_ERROR(read_text(root, "second_source", spec.second_source));
  if (const auto list = root.find("identifiers")) {
    ASSIGN_OR_RETURN(spec.identifiers, list->as_strings("identifiers"));
  }
  ASSIGN_OR_RETURN(const auto sources, read_sources(root));
  const auto columns = root.find("columns");
  if (!columns || !columns->is_list())
    return wrong_usage("{}: 'columns' must be a list of columns", root.where());
  for (std::size_t i = 0; i < columns->size(); ++i) {
    ASSIGN_OR_RETURN(ColumnSpec column, read_column(columns->at(i), sources));
    spec.columns.push_back(std::move(column));
  }
  RETURN_IF_ERROR(check_properties(spec, path));
  return spec;
}

TableSpec draft_table_spec(const Sheet& sheet) {
  TableSpec spec;
  spec.drafted = true;
  spec.table = data_stem(sheet.file);
  spec.title = spec.table;
  spec.licence = "unknown";
  spec.kind = "record";
  spec.record = sheet.columns.front();
  std::set<std::string> taken;
  for (std::size_t i = 1; i < sheet.columns.size(); ++i) {
    ColumnSpec column;
    column.name = sheet.columns[i];
    column.property = spaced(column.name);
    for (const auto& [open, close] : {std::pair{" (", ')'}, {" [", ']'}}) {
      const std::size_t at = column.property.rfind(open);
      if (at == std::string::npos || at == 0 || column.property.back() != close) continue;
      column.unit = column.property.substr(at + 2, column.property.size() - at - 3);
      column.property.resize(at);
      break;
    }
    // "mass (kg)" beside "mass (g)": the full header keeps both askable.
    if (!taken.insert(column.property).second) column.property = column.name;
    taken.insert(column.property);
    spec.columns.push_back(std::move(column));
  }
  return spec;
}

std::string to_yaml(const TableSpec& spec) {
  std::string out;
  const auto line = [&out](std::string_view key, const std::string& value) {
    if (!value.empty()) out += fmt::format("{}: {}\n", key, quoted(value));
  };
  line("table", spec.table);
  line("title", spec.title);
  line("tranche", spec.tranche);
  line("licence", spec.licence);
  line("kind", spec.kind);
  line("record", spec.record);
  std::string identifiers;
  for (const auto& id : spec.identifiers)
    identifiers += (identifiers.empty() ? "" : ", ") + quoted(id);
  out += fmt::format("identifiers: [{}]\n", identifiers);
  line("aliases", spec.aliases);
  line("second_source", spec.second_source);
  out += "columns:\n";
  for (const ColumnSpec& column : spec.columns) {
    out += fmt::format("  - {{name: {}", quoted(column.name));
    out += column.note ? ", role: note" : ", property: " + quoted(column.property);
    if (!column.unit.empty()) out += ", unit: " + quoted(column.unit);
    if (!column.unit_column.empty()) out += ", unit_column: " + quoted(column.unit_column);
    if (column.format.kind != NumberFormat::Kind::plain)
      out += ", format: " + quoted(column.format.text());
    out += "}\n";
  }
  return out;
}

Status check_columns(const TableSpec& spec, const Sheet& sheet) {
  std::vector<std::string> named = {spec.record};
  if (!spec.aliases.empty()) named.push_back(spec.aliases);
  if (!spec.second_source.empty()) named.push_back(spec.second_source);
  for (const ColumnSpec& column : spec.columns) named.push_back(column.name);
  for (const std::string& name : named) {
    if (sheet.column(name) < sheet.columns.size()) continue;
    const auto near = spec::nearest(name, sheet.columns);
    return refused(
        "{}: the description of the table names the column '{}', which the table does not have{}",
        sheet.file, name, near ? fmt::format("; did you mean '{}'?", *near) : "");
  }
  for (const std::string& name : sheet.columns) {
    if (std::find(named.begin(), named.end(), name) != named.end()) continue;
    return refused(
        "{}: the column '{}' is not in the description of the table; list it under columns (role: "
        "note if it is no property)",
        sheet.file, name);
  }
  return Done{};
}

}  // namespace boreal::corpus
