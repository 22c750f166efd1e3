// Small tables for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "corpus/table.h"

namespace boreal::corpus {

// A drafted table out of CSV text: the first column names the records.
inline Table small_table(const std::string& csv, const std::string& name,
                         const std::string& bundle = "b") {
  const auto sheet = parse_csv(csv, name + ".csv");
  EXPECT_TRUE(sheet.ok());
  auto table = make_table(*sheet, draft_table_spec(*sheet), {.source = name, .bundle = bundle});
  EXPECT_TRUE(table.ok());
  return std::move(table).value();
}

// `records` rows of `properties` columns with distinct values.
inline Table wide_table(const std::string& name, int records, int properties,
                        const std::string& bundle = "b") {
  std::string csv = "name";
  for (int p = 0; p < properties; ++p) csv += "," + name + "_p" + std::to_string(p);
  csv += "\n";
  for (int r = 0; r < records; ++r) {
    csv += name + "_r" + std::to_string(r);
    for (int p = 0; p < properties; ++p) csv += "," + std::to_string(1000 * p + r);
    csv += "\n";
  }
  return small_table(csv, name, bundle);
}

inline std::vector<const Fact*> facts_with(const Table& table, Split split) {
  std::vector<const Fact*> facts;
  for (const Record& record : table.records) {
    for (const Fact& fact : record.facts) {
      if (fact.split == split) facts.push_back(&fact);
    }
  }
  return facts;
}

}  // namespace boreal::corpus
