#include "corpus/table.h"

#include <gmock/gmock.h>

#include "tests/corpus/files.h"
#include "tests/corpus/tables.h"

namespace boreal::corpus {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kElements =
    "name,aliases,symbol,melting_K,density,density_unit,second_source\n"
    "iron,ferrum;  the metal,Fe,1811,7874,kg m^-3,none\n"
    "helium,,He,,0.1785,g/L,none\n";
constexpr const char* kElementsYaml =
    "table: elements\n"
    "title: Elements\n"
    "tranche: chemistry\n"
    "licence: CC0-1.0\n"
    "kind: chemical element\n"
    "record: name\n"
    "identifiers: [symbol]\n"
    "aliases: aliases\n"
    "second_source: second_source\n"
    "sources:\n"
    "  crc: \"Handbook\"\n"
    "columns:\n"
    "  - {name: symbol, property: symbol, source: crc}\n"
    "  - {name: melting_K, property: melting point, unit: K, source: crc, tolerance: 0.005, "
    "format: grouped}\n"
    "  - {name: density, property: density, unit_column: density_unit}\n"
    "  - {name: density_unit, role: note}\n";

class TableTest : public FileTest {
 protected:
  // The YAML with `from` replaced by `to`, read.
  std::string yaml_error(const std::string& from, const std::string& to) {
    std::string text = kElementsYaml;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return message_of(load_table_spec(env, file("e.yaml", text)), ErrorKind::usage);
  }
};

TEST_F(TableTest, RecordsHaveFactsWithUnitsIdentifiersAndAliases) {
  file("elements.yaml", kElementsYaml);
  auto table = read_table(env, file("elements.csv", kElements), {.source = "elements"});
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_EQ(table->bundle, "chemistry");
  EXPECT_EQ(table->licence, "CC0-1.0");
  ASSERT_EQ(table->records.size(), 2U);
  const Record& iron = table->records[0];
  EXPECT_EQ(iron.name, "iron");
  EXPECT_EQ(iron.line, 2);
  EXPECT_THAT(iron.identifiers, ElementsAre("Fe"));
  EXPECT_THAT(iron.aliases, ElementsAre("ferrum", "the metal"));
  ASSERT_EQ(iron.facts.size(), 3U);
  EXPECT_TRUE(iron.facts[0].identifier);
  EXPECT_EQ(iron.facts[2].unit, "kg m^-3");
  // An empty cell is no fact.
  EXPECT_EQ(table->records[1].facts.size(), 2U);
  EXPECT_EQ(table->records[1].facts[1].unit, "g/L");
}

TEST_F(TableTest, SourceSettingsWinOverTheTables) {
  file("elements.yaml", kElementsYaml);
  const auto table =
      read_table(env, file("elements.csv", kElements),
                 {.source = "s", .bundle = "mine", .licence = "MIT", .records_max = 1});
  EXPECT_EQ(table->bundle, "mine");
  EXPECT_EQ(table->licence, "MIT");
  EXPECT_EQ(table->records.size(), 1U);
  EXPECT_EQ(table->dropped.count("record beyond max_records"), 1);
}

TEST_F(TableTest, TheYamlIsStrict) {
  EXPECT_THAT(yaml_error("title:", "titel:"), HasSubstr("titel"));
  EXPECT_THAT(yaml_error("licence: CC0-1.0\n", ""), HasSubstr("'licence' is missing"));
  EXPECT_THAT(yaml_error("source: crc, tolerance", "source: crv, tolerance"),
              HasSubstr("did you mean 'crc'"));
  EXPECT_THAT(yaml_error("tolerance: 0.005", "tolerance: -1"), HasSubstr("tolerance is -1"));
  EXPECT_THAT(yaml_error("format: grouped", "format: round"), HasSubstr("significant:N"));
  EXPECT_THAT(yaml_error("role: note", "role: nothing"), HasSubstr("the only role is note"));
  EXPECT_THAT(yaml_error("property: density", "property: symbol"),
              HasSubstr("two columns ask for the property 'symbol'"));
  EXPECT_THAT(yaml_error("identifiers: [symbol]", "identifiers: [sign]"),
              HasSubstr("'sign' is not among the columns"));
  EXPECT_THAT(yaml_error("unit_column: density_unit", "unit: g, unit_column: density_unit"),
              HasSubstr("give one"));
  EXPECT_THAT(yaml_error("property: density, ", ""), HasSubstr("'property' is missing"));
}

TEST_F(TableTest, ColumnsOfTableAndYamlMustAgree) {
  file("e.yaml", kElementsYaml);
  std::string csv = kElements;
  csv.replace(csv.find("melting_K"), 9, "melting_C");
  EXPECT_THAT(message_of(read_table(env, file("e.csv", csv), {.source = "e"}), ErrorKind::refused),
              AllOf(HasSubstr("'melting_K'"), HasSubstr("did you mean 'melting_C'")));
  csv =
      "name,aliases,symbol,melting_K,density,density_unit,second_source,colour\na,,A,1,2,g,none,"
      "red\n";
  EXPECT_THAT(message_of(read_table(env, file("e.csv", csv), {.source = "e"}), ErrorKind::refused),
              HasSubstr("'colour' is not in the description"));
}

TEST_F(TableTest, WithoutYamlTheFirstColumnNamesRecordsAndUnitsComeFromTheHeader) {
  const auto table = read_table(
      env, file("mine.csv", "Compound ID,melting_point (K),mass [g],mass (kg)\nx,300,1,2\ny,,3,\n"),
      {.source = "mine"});
  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(table->spec.drafted);
  EXPECT_EQ(table->bundle, "mine");
  const auto& columns = table->spec.columns;
  EXPECT_EQ(columns[0].property, "melting point");
  EXPECT_EQ(columns[0].unit, "K");
  EXPECT_EQ(columns[1].property, "mass");
  EXPECT_EQ(columns[2].property, "mass (kg)");
  EXPECT_EQ(table->records[1].facts.size(), 1U);
}

TEST_F(TableTest, TheDraftedYamlReadsBackToTheSameTable) {
  const std::string path = file("mine.csv", "Compound ID,\"a \"\"b\"\" c (K)\",d\\e\nx,300,1\n");
  const auto drafted = read_table(env, path, {.source = "mine"});
  file("mine.yaml", to_yaml(drafted->spec));
  const auto read = read_table(env, path, {.source = "mine"});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_FALSE(read->spec.drafted);
  EXPECT_EQ(to_yaml(read->spec), to_yaml(drafted->spec));
}

TEST_F(TableTest, ATableOfNamesAloneIsRefused) {
  EXPECT_THAT(
      message_of(read_table(env, file("n.csv", "name\nx\n"), {.source = "n"}), ErrorKind::refused),
      HasSubstr("at least one property"));
}

TEST(Table, RowsWithoutANameAndSecondRowsOfANameAreLeftOutByName) {
  const Table table = small_table("name,mass\niron,1\n,2\niron,3\nlead,4\n", "t");
  EXPECT_EQ(table.rows_read, 4);
  EXPECT_EQ(table.records.size(), 2U);
  EXPECT_EQ(table.dropped.count("row without a name"), 1);
  EXPECT_EQ(table.dropped.by_reason().at("second row of a name").examples[0], "t.csv:4: iron");
}

TEST(Table, WhiteSpaceInsideCellsIsOneBlank) {
  const Table table = small_table("name,note\n\" a\n b \",\"x\t\ty\"\n", "t");
  EXPECT_EQ(table.records[0].name, "a b");
  EXPECT_EQ(table.records[0].facts[0].value, "x y");
}

TEST(Table, ALongSequenceIsAskedInParts) {
  const Table table = small_table("name,bases\ng," + std::string(50, 'A') + "\n", "t");
  ASSERT_EQ(table.records[0].facts.size(), 3U);
  EXPECT_EQ(table.records[0].facts[1].asked, "bases, part 2 of 3");
  EXPECT_EQ(table.records[0].facts[1].property, "bases");
}

TEST(SettleNames, ANameOfTwoRecordsStandsForNeither) {
  std::vector<Table> tables = {small_table("name,x\niron,1\nlead,2\n", "a"),
                               small_table("name,y\nMercury,1\n", "b")};
  tables[0].records[0].identifiers = {"Fe", "26", "iron"};
  tables[0].records[1].aliases = {"plumbum", "heavy metal"};
  tables[1].records[0].aliases = {"heavy metal"};
  settle_names(tables);
  EXPECT_THAT(tables[0].records[0].other_names, ElementsAre("Fe"));
  EXPECT_THAT(tables[0].records[1].other_names, ElementsAre("plumbum"));
  EXPECT_TRUE(tables[1].records[0].other_names.empty());
}

TEST(SettleNames, AQuestionThatAnotherTableAsksIsAskedOnce) {
  std::vector<Table> tables = {small_table("name,type\nTitan,moon\n", "a"),
                               small_table("name,type,age\nTitan,rocket,9\n", "b")};
  settle_names(tables);
  EXPECT_EQ(tables[0].records[0].facts.size(), 1U);
  ASSERT_EQ(tables[1].records[0].facts.size(), 1U);
  EXPECT_EQ(tables[1].records[0].facts[0].asked, "age");
  EXPECT_EQ(tables[1].dropped.count("question of another table"), 1);
}

}  // namespace
}  // namespace boreal::corpus
