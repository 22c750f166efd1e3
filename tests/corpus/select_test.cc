#include "corpus/select.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "tests/corpus/tables.h"

namespace boreal::corpus {
namespace {

using testing::ElementsAre;

std::int64_t count(const std::vector<Table>& tables, Split split) {
  std::int64_t facts = 0;
  for (const Table& table : tables)
    facts += static_cast<std::int64_t>(facts_with(table, split).size());
  return facts;
}

TEST(FillEvenly, WhatASmallPartCannotTakeGoesToTheOthers) {
  EXPECT_THAT(fill_evenly({100, 5, 100}, 65), ElementsAre(30, 5, 30));
  EXPECT_THAT(fill_evenly({3, 3}, 10), ElementsAre(3, 3));
  EXPECT_THAT(fill_evenly({10, 10, 10}, 10), ElementsAre(4, 3, 3));
  EXPECT_TRUE(fill_evenly({}, 10).empty());
}

TEST(SelectFacts, ValidationIsTheAskedShareOfTheRecordsOfEachTable) {
  std::vector<Table> tables = {wide_table("a", 100, 3), wide_table("b", 37, 2)};
  select_facts(tables, {.validation = 0.1});
  EXPECT_EQ(facts_with(tables[0], Split::validation).size(), 10U * 3U);
  EXPECT_EQ(facts_with(tables[1], Split::validation).size(), 4U * 2U);
  EXPECT_EQ(count(tables, Split::unused), 0);
}

TEST(SelectFacts, ARecordIsWhollyOnOneSide) {
  std::vector<Table> tables = {wide_table("a", 60, 4), wide_table("b", 60, 3, "c")};
  select_facts(tables, {.validation = 0.2, .facts_max = 150});
  for (const Table& table : tables) {
    for (const Record& record : table.records) {
      std::set<Split> sides;
      for (const Fact& fact : record.facts) sides.insert(fact.split);
      EXPECT_FALSE(sides.contains(Split::train) && sides.contains(Split::validation));
    }
  }
}

TEST(SelectFacts, FactsMaxIsMetExactlyAndSpreadOverBundlesAndTables) {
  std::vector<Table> tables = {wide_table("a", 100, 4, "x"), wide_table("b", 100, 4, "x"),
                               wide_table("c", 20, 4, "y")};
  select_facts(tables, {.validation = 0.05, .facts_max = 301});
  EXPECT_EQ(count(tables, Split::train), 301);
  EXPECT_EQ(facts_with(tables[2], Split::train).size(), 76U);  // all that a small bundle has
  EXPECT_NEAR(static_cast<double>(facts_with(tables[0], Split::train).size()),
              static_cast<double>(facts_with(tables[1], Split::train).size()), 1);
  EXPECT_GT(count(tables, Split::validation), 0);
}

TEST(SelectFacts, TheChoiceDependsOnTheSeedAndOnNothingElse) {
  const auto names = [](std::uint64_t seed, bool reversed) {
    std::vector<Table> tables = {wide_table("a", 50, 2)};
    if (reversed) std::reverse(tables[0].records.begin(), tables[0].records.end());
    select_facts(tables, {.validation = 0.2, .facts_max = 20, .seed = seed});
    std::set<std::string> chosen;
    for (const Record& record : tables[0].records) {
      if (record.facts[0].split == Split::train) chosen.insert(record.name);
    }
    return chosen;
  };
  EXPECT_EQ(names(1, false), names(1, true));
  EXPECT_NE(names(1, false), names(2, false));
}

TEST(SelectFacts, EvenATinyTableTrainsOnSomething) {
  std::vector<Table> tables = {wide_table("a", 1, 2)};
  select_facts(tables, {.validation = 0.9});
  EXPECT_EQ(count(tables, Split::train), 2);
}

}  // namespace
}  // namespace boreal::corpus
