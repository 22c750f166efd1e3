// TableSpec: what a table means, read from the YAML beside it (strict: docs/tables.md lists the
// keys), or drafted from the header where there is none. Errors are of kind usage and begin with
// "file:line: ". Thread rule: values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "corpus/sheet.h"
#include "corpus/value_format.h"

namespace boreal::corpus {

struct ColumnSpec {
  std::string name;
  std::string property;  // noun phrase; "" for a note
  std::string unit;
  std::string unit_column;  // column with the unit of each row, instead of unit
  NumberFormat format;
  bool note = false;  // not a property
};

struct TableSpec {
  std::string table;
  std::string title;
  std::string tranche;
  std::string licence;
  std::string kind;                      // noun for one record
  std::string record;                    // column
  std::vector<std::string> identifiers;  // columns
  std::string aliases;                   // column, names separated by ';'; "" = none
  std::string second_source;             // column; "" = none
  std::vector<ColumnSpec> columns;       // all but record, aliases and second_source
  bool drafted = false;                  // there was no YAML
};

// "dir/a.csv.gz" -> "dir/a.yaml".
std::string table_spec_path(const std::string& table_path);

Result<TableSpec> load_table_spec(Env& env, const std::string& path);

// Every column a property, the first the record; "mass (kg)" and "mass [kg]" are mass with unit kg.
TableSpec draft_table_spec(const Sheet& sheet);

// YAML that load_table_spec reads back to the same spec.
std::string to_yaml(const TableSpec& spec);

// Every column that the spec names must be in the table and every column of the table in the spec.
// kind refused.
Status check_columns(const TableSpec& spec, const Sheet& sheet);

}  // namespace boreal::corpus
