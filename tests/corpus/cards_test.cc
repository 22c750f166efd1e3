#include "corpus/cards.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "corpus/dedup.h"
#include "corpus/select.h"
#include "tests/corpus/files.h"
#include "tests/corpus/tables.h"

namespace boreal::corpus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Families three_families(double other_names = 0) {
  Families families;
  for (const auto& [name, pattern] : std::vector<std::pair<std::string, std::string>>{
           {"statement", "The {property} of {name} is {value} {unit}."},
           {"field", "{name} | {property}: {value} {unit}"},
           {"question", "What is the {property} of {name}? {value} {unit}"}}) {
    families.trained.push_back(Family::parse(name, pattern, "test").value());
  }
  families.other_names = other_names;
  return families;
}

Rotation rotation_of(const Table& table, std::int64_t heldout_every) {
  Rotation rotation(3, heldout_every);
  for (const auto& column : table.spec.columns) rotation.add(column.property);
  return rotation;
}

// Cards of all facts of the table.
std::vector<Document> cards_of(Table table, const CardOptions& options,
                               const Families& families = three_families(),
                               std::int64_t heldout_every = 3, DropLog* dropped = nullptr) {
  std::vector<Table> tables = {std::move(table)};
  settle_names(tables);
  select_facts(tables, {.validation = 0});
  DropLog own;
  std::vector<Document> documents;
  for (auto& cards : make_cards(tables[0], families, rotation_of(tables[0], heldout_every), options,
                                dropped == nullptr ? own : *dropped)) {
    for (auto& document : cards.documents) documents.push_back(std::move(document));
  }
  return documents;
}

std::int64_t count_words(std::string_view text) {
  return 1 + std::count(text.begin(), text.end(), ' ');
}

TEST(Cards, AFactStandsOnceInEachFamilyThatItsPropertyTrains) {
  const auto documents = cards_of(small_table("name,mass (kg),radius,age\nMars,6,3,4\n", "t"), {});
  std::vector<std::string> texts;
  for (const auto& d : documents) texts.push_back(d.text);
  EXPECT_THAT(texts, ElementsAre("Mars | mass: 6 kg", "What is the mass of Mars? 6 kg",
                                 "The radius of Mars is 3.", "What is the radius of Mars? 3",
                                 "The age of Mars is 4.", "Mars | age: 4"));
}

TEST(Cards, TheLossCoversTheAnswerAndTheBlankBeforeIt) {
  const auto documents = cards_of(small_table("name,mass (kg),radius\nMars,6,3\n", "t"), {});
  const Document& d = documents[0];
  ASSERT_EQ(d.loss.size(), 1U);
  EXPECT_EQ(d.text.substr(d.loss[0].begin, d.loss[0].end - d.loss[0].begin), " 6 kg");
  for (const auto& all :
       cards_of(small_table("name,mass\nMars,6\n", "t"), {.loss_on_values = false})) {
    EXPECT_TRUE(all.loss.empty());
  }
}

TEST(Cards, ADocumentKnowsItsTableRowLicenceAndTemplate) {
  const auto documents = cards_of(small_table("name,mass,radius\nMars,6,3\n", "t", "space"), {});
  const Provenance& from = documents[0].from;
  EXPECT_EQ(from.source, "t");
  EXPECT_EQ(from.file, "t.csv");
  EXPECT_EQ(from.row, 2);
  EXPECT_EQ(from.licence, "unknown");
  EXPECT_EQ(from.bundle, "space");
  EXPECT_EQ(from.record, "Mars");
  EXPECT_EQ(from.card, "field");
  EXPECT_THAT(from.properties, ElementsAre("mass"));
}

TEST(Cards, AHeldOutPairNeverStandsInADocumentWhateverTheGrouping) {
  const Table table = wide_table("t", 20, 7);
  const Rotation rotation = rotation_of(table, 3);
  const Families families = three_families(1.0);
  for (const std::int64_t grouping : {1, 2, 0}) {
    std::map<std::string, std::set<std::string>> properties_of;
    for (const auto& d : cards_of(table, {.facts_per_document = grouping}, families)) {
      for (const auto& property : d.from.properties) {
        EXPECT_NE(families.trained[rotation.heldout(property).value()].name(), d.from.card)
            << d.text;
        properties_of[d.from.card].insert(property);
      }
    }
    ASSERT_EQ(properties_of.size(), 3U);
    for (const auto& [family, properties] : properties_of)
      EXPECT_GE(properties.size(), 4U) << family;
  }
}

Table with_other_names() {
  Table table = small_table("name,symbol,mass (u),use\niron,Fe,56,steel\n", "t");
  table.spec.identifiers = {"symbol"};
  table.records[0].identifiers = {"Fe"};
  table.records[0].aliases = {"ferrum"};
  table.records[0].facts[0].identifier = true;
  return table;
}

TEST(Cards, SeveralFactsStandUnderAHeaderThatNamesTheRecord) {
  const auto documents =
      cards_of(with_other_names(), {.facts_per_document = 0}, three_families(), 0);
  std::vector<std::string> texts;
  for (const auto& d : documents) texts.push_back(d.text);
  // The identifier is asked alone: the header would give it away.
  EXPECT_THAT(
      texts,
      ElementsAre(
          "The symbol of iron is Fe.", "iron | symbol: Fe", "What is the symbol of iron? Fe",
          "iron (Fe; ferrum)\nThe mass of iron is 56 u.\nThe use of iron is steel.",
          "iron (Fe; ferrum)\niron | mass: 56 u\niron | use: steel",
          "iron (Fe; ferrum)\nWhat is the mass of iron? 56 u\nWhat is the use of iron? steel"));
  const Document& d = documents[3];
  ASSERT_EQ(d.loss.size(), 2U);
  EXPECT_EQ(d.text.substr(d.loss[0].begin, d.loss[0].end - d.loss[0].begin), " 56 u.\n");
  EXPECT_EQ(d.text.substr(d.loss[1].begin, d.loss[1].end - d.loss[1].begin), " steel.");
}

TEST(Cards, ARecordLongerThanTheContextIsCutAndEachPieceRepeatsTheHeader) {
  const auto documents =
      cards_of(wide_table("t", 1, 30),
               {.facts_per_document = 0, .tokens_max = 40, .count_tokens = count_words});
  std::multiset<std::string> asked;
  for (const auto& d : documents) {
    EXPECT_THAT(d.text, StartsWith("t_r0\n"));
    EXPECT_LE(count_words(d.text) + 1, 40);
    asked.insert(d.from.properties.begin(), d.from.properties.end());
  }
  EXPECT_GT(documents.size(), 3U);
  EXPECT_EQ(asked.size(), 30U * 2U);
}

TEST(Cards, AFactThatFitsNoContextIsLeftOutByName) {
  DropLog dropped;
  const std::string words = "a b c d e f g h i j k l m n o p q r s t";
  const auto documents =
      cards_of(small_table("name,note,mass\nx," + words + ",1\n", "t"),
               {.tokens_max = 12, .count_tokens = count_words}, three_families(), 3, &dropped);
  EXPECT_EQ(documents.size(), 2U);
  EXPECT_EQ(dropped.count("fact longer than the context"), 2);
  EXPECT_THAT(dropped.by_reason().begin()->second.examples[0], HasSubstr("note of x"));
}

TEST(Cards, OtherNamesAddOneCardAFactAndNeverSayThemselves) {
  const auto documents = cards_of(with_other_names(), {}, three_families(1.0), 0);
  EXPECT_EQ(documents.size(), 3U * 3U + 3U);
  int others = 0;
  for (const auto& d : documents) {
    EXPECT_THAT(d.text, testing::Not(HasSubstr("symbol of Fe")));
    if (d.text.find("iron") == std::string::npos) ++others;
  }
  EXPECT_EQ(others, 3);
}

TEST(Cards, FactsThatWereNotChosenMakeNoCards) {
  std::vector<Table> tables = {wide_table("t", 10, 3)};
  select_facts(tables, {.validation = 0.2, .facts_max = 5});
  DropLog dropped;
  std::size_t validation = 0, train = 0;
  for (const auto& cards :
       make_cards(tables[0], three_families(), rotation_of(tables[0], 0), {}, dropped)) {
    for (const auto& d : cards.documents) ++(d.validation ? validation : train);
  }
  EXPECT_EQ(train, 5U * 3U);
  EXPECT_EQ(validation, facts_with(tables[0], Split::validation).size() * 3U);
}

TEST(Dedup, ATextIsNewOnce) {
  Dedup dedup;
  EXPECT_TRUE(dedup.is_new("a"));
  EXPECT_TRUE(dedup.is_new("a "));
  EXPECT_FALSE(dedup.is_new("a"));
  EXPECT_FALSE(dedup.is_new_key(Dedup::key_of("a ")));
}

}  // namespace
}  // namespace boreal::corpus
