// What every user of the shipped tables relies on.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "corpus/select.h"
#include "prep/names.h"
#include "prep/units.h"
#include "tests/prep/shipped.h"
#include "text/bpe_trainer.h"

namespace boreal::prep {
namespace {

// All shipped tables, joined as a run joins them.
struct Shipped {
  spec::RunSpec spec = shipped_spec();
  std::vector<Unit> units;
  std::vector<corpus::Table> tables;
  corpus::Families families;
  std::unique_ptr<corpus::Rotation> rotation;
};

const Shipped& all_shipped() {
  static const Shipped shipped_data = [] {
    Shipped s;
    const auto inputs = resolve_inputs(Env::real(), s.spec);
    CHECK(inputs.ok(), "{}", inputs.error().message);
    for (const Input& input : inputs->sources) {
      auto unit = read_unit(Env::real(), s.spec, input);
      CHECK(unit.ok(), "{}", unit.error().message);
      s.tables.push_back(*unit->table);
      s.units.push_back(std::move(unit).value());
    }
    s.families = corpus::load_families(Env::real(), inputs->families_path).value();
    s.rotation =
        std::make_unique<corpus::Rotation>(s.families.trained.size(), s.spec.cards.heldout_every);
    corpus::settle_names(s.tables);
    corpus::select_facts(s.tables, {.validation = s.spec.data.validation, .seed = 1});
    for (const auto& table : s.tables) {
      for (const auto& column : table.spec.columns) {
        if (!column.note) s.rotation->add(column.property);
      }
    }
    for (std::size_t i = 0; i < s.units.size(); ++i) {
      s.units[i].table = s.tables[i];
      make_groups(s.units[i], s.spec, s.families, *s.rotation, nullptr);
    }
    return s;
  }();
  return shipped_data;
}

text::Tokenizer train(const std::string& pattern) {
  text::BpeTrainOptions options;
  options.pattern = pattern;
  text::BpeTrainer trainer(options);
  for (const Unit& unit : all_shipped().units) {
    for (const Group& group : unit.groups) {
      for (const auto& document : group.documents) {
        if (!document.validation) trainer.add(document.text);
      }
    }
  }
  return trainer.train().value();
}

TEST(ShippedTables, ThereAreEnoughAndNoneOutweighsTheOthers) {
  std::size_t records = 0;
  std::size_t rich = 0;
  for (const auto& table : all_shipped().tables) {
    records += table.records.size();
    EXPECT_LE(table.records.size(), 400U) << table.file;
    std::size_t properties = 0;
    for (const auto& column : table.spec.columns) properties += column.note ? 0 : 1;
    if (properties >= 4) ++rich;
  }
  EXPECT_GE(all_shipped().tables.size(), 8U);
  EXPECT_GE(records, 1500U);
  EXPECT_GE(rich, 5U);
}

TEST(ShippedTables, NoRowIsLeftOutAndEveryRecordStatesSomething) {
  for (const auto& table : all_shipped().tables) {
    EXPECT_EQ(table.dropped.count("second row of a name"), 0) << table.file;
    EXPECT_EQ(table.dropped.count("row without a name"), 0) << table.file;
    for (const auto& record : table.records)
      EXPECT_FALSE(record.facts.empty()) << table.file << " " << record.name;
  }
}

TEST(ShippedTables, AHeldOutPairIsNeverTrainedAndEachFamilyIsTrainedWithOtherProperties) {
  const Shipped& s = all_shipped();
  std::set<std::string> properties;
  std::map<std::string, std::set<std::string>> trained;  // family -> properties
  // The text of every sentence that must not be seen.
  std::set<std::string> forbidden;
  for (const auto& table : s.tables) {
    for (const auto& record : table.records) {
      for (const auto& fact : record.facts) {
        properties.insert(fact.property);
        if (const auto held = s.rotation->heldout(fact.property)) {
          forbidden.insert(
              s.families.trained[*held].fill(record.name, fact.asked, fact.value, fact.unit).text);
        }
        for (const auto& style : s.families.styles) {
          forbidden.insert(style.fill(record.name, fact.asked, fact.value, fact.unit).text);
        }
      }
    }
  }
  ASSERT_GT(forbidden.size(), 2000U);
  for (const Unit& unit : s.units) {
    for (const Group& group : unit.groups) {
      for (const auto& document : group.documents) {
        EXPECT_FALSE(forbidden.contains(document.text)) << document.text;
        trained[document.from.card].insert(document.from.properties.front());
      }
    }
  }
  ASSERT_EQ(trained.size(), s.families.trained.size());
  for (const auto& [family, with] : trained)
    EXPECT_GT(with.size(), properties.size() / 2) << family;
}

TEST(ShippedTables, EveryNameHasTheSameIdsWhereverItStandsWithThePatternWords) {
  const text::Tokenizer tokenizer = train("words");
  const auto names = all_names(all_shipped().tables);
  ASSERT_GE(names.size(), 1500U);
  for (const std::string& name : names) EXPECT_TRUE(same_ids_everywhere(tokenizer, name)) << name;
}

TEST(ShippedTables, ThePatternGpt2GivesNearlyEveryNameOtherIdsAtTheStartOfALine) {
  const text::Tokenizer tokenizer = train("gpt2");
  const auto names = all_names(all_shipped().tables);
  const auto unstable = std::count_if(names.begin(), names.end(), [&](const std::string& name) {
    return !same_ids_everywhere(tokenizer, name);
  });
  EXPECT_GT(static_cast<double>(unstable), 0.9 * static_cast<double>(names.size()));
}

}  // namespace
}  // namespace boreal::prep
