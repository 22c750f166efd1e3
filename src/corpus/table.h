// Table: the records of one table as facts that can be asked. Names and values are on one line
// (white space runs are one blank). A fact is (record, property, value, unit); a long sequence is
// several facts, "property, part 1 of 4". Thread rule: values. What is left out stands in
// Table::dropped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "corpus/drop_log.h"
#include "corpus/table_spec.h"

namespace boreal::corpus {

enum class Split : std::uint8_t { unused, train, validation };

struct Fact {
  std::string asked;     // the property as asked: with ", part i of n" for a part
  std::string property;  // the property that rotates
  std::string value;
  std::string unit;
  std::size_t column = 0;  // of TableSpec::columns
  bool identifier = false;
  Split split = Split::unused;
};

struct Record {
  std::string name;
  std::vector<std::string> identifiers;
  std::vector<std::string> aliases;
  // Those of both that denote no other record and hold a letter: may stand for the name.
  std::vector<std::string> other_names;
  std::vector<Fact> facts;
  std::int64_t line = 0;  // of the file
};

struct Table {
  TableSpec spec;
  std::string source = {};  // name of the source
  std::string file;
  std::string bundle = {};
  std::string licence = {};
  std::int64_t rows_read = 0;
  std::vector<Record> records;  // in file order
  DropLog dropped;
};

struct TableOptions {
  std::string source = {};
  std::string bundle = {};       // "" = the table's tranche, else the source's name
  std::string licence = {};      // "" = the table's
  std::int64_t records_max = 0;  // picked by hash; 0 = all
  std::uint64_t seed = 1;
};

// Reads path and the description beside it, or drafts one. A pure function of the two files and the
// options. Left out, by reason: rows without a name, second rows of a name, records beyond
// records_max.
Result<Table> read_table(Env& env, const std::string& path, const TableOptions& options);

// The same from parsed parts.
Result<Table> make_table(const Sheet& sheet, TableSpec spec, const TableOptions& options);

// Over all tables of a run: takes back other names that denote two records, and drops a fact whose
// (name, property) another table or record already asks, because one question cannot have two
// answers.
void settle_names(std::vector<Table>& tables);

}  // namespace boreal::corpus
