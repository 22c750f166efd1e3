#include "corpus/sheet.h"

#include <gmock/gmock.h>

#include "tests/corpus/files.h"

namespace boreal::corpus {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string csv_error(std::string_view text) {
  return message_of(parse_csv(text, "t.csv"), ErrorKind::refused);
}
std::string jsonl_error(std::string_view text) {
  return message_of(parse_jsonl(text, "t.jsonl"), ErrorKind::refused);
}

TEST(Csv, QuotesCommasLineBreaksAndBothLineEndsAreRead) {
  const auto sheet =
      parse_csv("name,note\r\n\"a, b\",\"he said \"\"no\"\"\"\r\nc,\"two\nlines\"\nd,\n", "t.csv");
  ASSERT_TRUE(sheet.ok());
  EXPECT_THAT(sheet->columns, ElementsAre("name", "note"));
  EXPECT_THAT(sheet->rows, ElementsAre(ElementsAre("a, b", "he said \"no\""),
                                       ElementsAre("c", "two\nlines"), ElementsAre("d", "")));
  EXPECT_THAT(sheet->lines, ElementsAre(2, 3, 5));
}

TEST(Csv, TheLastLineNeedsNoLineBreak) {
  EXPECT_THAT(parse_csv("a,b\n1,2", "t.csv")->rows, ElementsAre(ElementsAre("1", "2")));
  EXPECT_THAT(parse_csv("a,b\n1,\"2\"", "t.csv")->rows, ElementsAre(ElementsAre("1", "2")));
  EXPECT_THAT(parse_csv("a,b\n1,", "t.csv")->rows, ElementsAre(ElementsAre("1", "")));
}

TEST(Csv, AnotherSeparatorAndLinesThatEndInCarriageReturnsAreNamed) {
  EXPECT_THAT(csv_error("name;mass\nIra;1,5\n"),
              AllOf(HasSubstr("t.csv:1"), HasSubstr("semicolons"), HasSubstr("commas")));
  EXPECT_THAT(csv_error("name\tmass\nIra\t1\n"), HasSubstr("tabs"));
  EXPECT_THAT(csv_error("name,mass\rIra,1\r"), HasSubstr("carriage returns"));
  EXPECT_TRUE(parse_csv("name,note;remark\nIra,1\n", "t.csv").ok());
}

TEST(Csv, ARaggedRowIsRefusedWithFileLineRowAndBothCounts) {
  EXPECT_THAT(csv_error("a,b,c\n1,2,3\n4,5\n"),
              AllOf(HasSubstr("t.csv:3"), HasSubstr("row 2 has 2 cells and the header has 3")));
  EXPECT_THAT(csv_error("a,b\n1,2,3\n"), HasSubstr("row 1 has 3 cells and the header has 2"));
  EXPECT_THAT(csv_error("a,b\n\n1,2\n"), HasSubstr("row 1 has 1 cells"));
}

TEST(Csv, AColumnTwiceIsRefusedWithBothPlaces) {
  EXPECT_THAT(csv_error("a,b,a\n1,2,3\n"), HasSubstr("columns 1 and 3 are both called 'a'"));
}

TEST(Csv, AColumnWithoutNameIsRefused) {
  EXPECT_THAT(csv_error("a,,c\n1,2,3\n"), HasSubstr("column 2 has no name"));
}

TEST(Csv, AnEmptyTableIsRefused) {
  EXPECT_THAT(csv_error(""), HasSubstr("no header line"));
  EXPECT_THAT(csv_error("\n\n"), HasSubstr("no header line"));
  EXPECT_THAT(csv_error("a,b\n"), HasSubstr("2 columns and 0 rows"));
}

TEST(Csv, BrokenQuotesAreRefusedWithTheLineWhereTheyOpen) {
  EXPECT_THAT(csv_error("a,b\n1,2\n3,\"x\ny\n"),
              AllOf(HasSubstr("t.csv:3"), HasSubstr("never closes")));
  EXPECT_THAT(csv_error("a,b\n1,\"x\"y\n"),
              AllOf(HasSubstr("t.csv:2"), HasSubstr("'y' stands after a closing quote")));
  EXPECT_THAT(csv_error("a,b\n1,5\" pipe\n"), HasSubstr("a quote in the middle"));
}

TEST(Tsv, TabsSeparateAndQuotesAreText) {
  const auto sheet = parse_tsv("a\tb\r\n1\t\"x\"\r\n\t\n", "t.tsv");
  EXPECT_THAT(sheet->rows, ElementsAre(ElementsAre("1", "\"x\""), ElementsAre("", "")));
  EXPECT_THAT(message_of(parse_tsv("a\tb\n1\n", "t.tsv"), ErrorKind::refused),
              HasSubstr("t.tsv:2: row 1 has 1 cells"));
}

TEST(Jsonl, KeysAreColumnsInOrderOfAppearanceAndAbsentOnesAreEmpty) {
  const auto sheet = parse_jsonl(
      "{\"b\": 1.50, \"a\": \"x\"}\n\n{\"a\": null, \"c\": true, \"b\": -3}\n", "t.jsonl");
  ASSERT_TRUE(sheet.ok());
  EXPECT_THAT(sheet->columns, ElementsAre("b", "a", "c"));
  EXPECT_THAT(sheet->rows,
              ElementsAre(ElementsAre("1.50", "x", ""), ElementsAre("-3", "", "true")));
  EXPECT_THAT(sheet->lines, ElementsAre(1, 3));
}

TEST(Jsonl, BadJsonIsRefusedWithItsLine) {
  EXPECT_THAT(jsonl_error("{\"a\": 1}\n{\"a\": }\n"),
              AllOf(HasSubstr("t.jsonl:2"), HasSubstr("byte 7")));
  EXPECT_THAT(jsonl_error("{\"a\": 1}{\"a\": 2}\n"), HasSubstr("bad JSON"));
  EXPECT_THAT(jsonl_error("{\"a\": 1\n"), HasSubstr("t.jsonl:1"));
}

TEST(Jsonl, WhatIsNoFlatObjectIsRefused) {
  EXPECT_THAT(jsonl_error("[1, 2]\n"), HasSubstr("no object"));
  EXPECT_THAT(jsonl_error("3\n"), HasSubstr("no object"));
  EXPECT_THAT(jsonl_error("{\"a\": {\"b\": 1}}\n"), HasSubstr("the value of 'a' is an object"));
  EXPECT_THAT(jsonl_error("{\"a\": [1]}\n"), HasSubstr("the value of 'a' is a list"));
  EXPECT_THAT(jsonl_error("{\"a\": 1, \"a\": 2}\n"), HasSubstr("'a' stands twice"));
  EXPECT_THAT(jsonl_error(""), HasSubstr("empty table"));
}

class SheetFileTest : public FileTest {};

TEST_F(SheetFileTest, TheEndingDecidesTheFormat) {
  EXPECT_EQ(read_sheet(env, file("a.csv", "a,b\n1,2\n"))->columns.size(), 2U);
  EXPECT_EQ(read_sheet(env, file("a.tsv", "a\tb\n1\t2\n"))->columns.size(), 2U);
  EXPECT_EQ(read_sheet(env, file("a.jsonl", "{\"a\":1,\"b\":2}\n"))->columns.size(), 2U);
  EXPECT_THAT(message_of(read_sheet(env, file("a.xlsx", "PK")), ErrorKind::usage),
              HasSubstr("'.xlsx'"));
}

}  // namespace
}  // namespace boreal::corpus
