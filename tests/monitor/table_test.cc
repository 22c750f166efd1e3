#include "monitor/table.h"

#include <gmock/gmock.h>

#include <limits>

#include "monitor/escape.h"

namespace boreal::monitor {
namespace {

Table scores() {
  return {
      .title = "Recall by bundle",
      .columns =
          {{.key = "bundle", .title = "bundle"},
           {.key = "facts", .title = "facts", .style = NumberStyle::count},
           {.key = "recall", .title = "recall [%]", .style = NumberStyle::percent, .decimals = 1},
           {.key = "time_s", .title = "time", .style = NumberStyle::duration}},
      .rows = {{std::string("life"), std::int64_t{1234}, Measured{0.842, 0.011, 0.05}, 65.0},
               {std::string("earth é"), std::int64_t{9}, Measured{0.5, 0.25, {}}, std::monostate{}},
               {std::string("all"), std::int64_t{1243}, Measured{0.84, 0.01, 0.05}, 65.0}},
      .total_rows = 1};
}

TEST(TableText, AlignsByDisplayedWidthAndRulesOffTheTotal) {
  EXPECT_EQ(to_text(scores()),
            "Recall by bundle\n"
            "bundle   facts   recall [%]  time\n"
            "───────  ─────  ───────────  ────\n"
            "life     1,234   84.2 ± 1.1  1:05\n"
            "earth é      9  50.0 ± 25.0\n"
            "───────  ─────  ───────────  ────\n"
            "all      1,243   84.0 ± 1.0  1:05\n");
}

TEST(TableText, OfNoRowsIsItsHeader) {
  Table empty = scores();
  empty.rows.clear();
  empty.title.clear();
  empty.total_rows = 0;
  EXPECT_EQ(to_text(empty), "bundle  facts  recall [%]  time\n");
}

TEST(TableText, AHostileCellStaysInItsLine) {
  Table table{.columns = {{.key = "name", .title = "name"}},
              .rows = {{std::string("a\nb\x1b[31m\xff")}}};
  EXPECT_EQ(to_text(table), "name\n─────────\na␊b␛[31m\xEF\xBF\xBD\n");
}

TEST(TableJson, KeepsFullPrecisionAndNamesErrorAndChance) {
  EXPECT_EQ(to_json(scores()),
            R"({"title":"Recall by bundle","rows":[)"
            R"({"bundle":"life","facts":1234,"recall":0.842,"recall_stderr":0.011,)"
            R"("recall_chance":0.05,"time_s":65.0},)"
            R"({"bundle":"earth é","facts":9,"recall":0.5,"recall_stderr":0.25,"time_s":null},)"
            R"({"bundle":"all","facts":1243,"recall":0.84,"recall_stderr":0.01,)"
            R"("recall_chance":0.05,"time_s":65.0}]})");
}

TEST(TableJson, WhatJsonCannotHoldIsNullAndBadBytesAreReplaced) {
  const Table table{
      .columns = {{.key = "a\"b", .title = ""}, {.key = "x", .title = ""}},
      .rows = {{std::string("\xff<"), std::numeric_limits<double>::infinity()}, {true, false}}};
  EXPECT_EQ(to_json(table),
            "{\"title\":\"\",\"rows\":[{\"a\\\"b\":\"\xEF\xBF\xBD<\",\"x\":null},{\"a\\\"b\":true,"
            "\"x\":false}]}");
}

TEST(TableDeathTest, ARowOfAnotherLengthIsABug) {
  Table table = scores();
  table.rows[1].pop_back();
  EXPECT_DEATH((void)to_text(table), "row.size\\(\\) == table.columns.size\\(\\)");
}

TEST(Escape, MarkupControlCharactersAndBadBytesAreMadeHarmless) {
  EXPECT_EQ(escape_markup("<script>alert('a' & \"b\")</script>"),
            "&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;");
  EXPECT_EQ(escape_markup(std::string("a\0\x01\x7f\tb\r\nc\rd", 11)), "a␀␁␡\tb\nc␍d");
  EXPECT_EQ(escape_markup("\xC2\x80|\xEF\xBF\xBF|\xF0\x9F\xBF\xBE"), "\uFFFD|\uFFFD|\uFFFD");
  EXPECT_EQ(escape_markup("caf\xC3|\xED\xA0\x80|\xC0\xAF|μ 𝛼"),
            "caf\uFFFD|\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD|μ 𝛼");
}

TEST(Escape, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(width_columns("abc"), 3U);
  EXPECT_EQ(width_columns("é±│"), 3U);
  EXPECT_EQ(width_columns("水"), 2U);
  EXPECT_EQ(cut_to_width("水水水", 5), "水水…");
  EXPECT_EQ(cut_to_width("abc", 3), "abc");
  EXPECT_EQ(cut_to_width("abcd", 3), "ab…");
  EXPECT_EQ(cut_to_width("abcd", 0), "");
}

}  // namespace
}  // namespace boreal::monitor
