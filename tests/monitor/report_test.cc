#include "monitor/report.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/monitor/folder.h"
#include "tests/monitor/markup.h"

namespace boreal::monitor {
namespace {

using testing::HasSubstr;
using testing::Not;

// A report in which every text is `text`.
Report report_of(const std::string& text) {
  Report report({.title = text, .subtitle = text, .facts = {{text, text}}});
  report.add_figures({{text, text, text, text}});
  report.add_section(text, text);
  report.add_text(text);
  report.add_table(
      {.title = text,
       .columns = {{.key = text, .title = text},
                   {.key = "x", .title = text, .style = NumberStyle::percent}},
       .rows = {{text, Measured{0.5, 0.1, 0.25}}, {std::monostate{}, std::monostate{}}},
       .total_rows = 1});
  report.add_line_chart(
      {.title = text,
       .x_label = text,
       .y_label = text,
       .series = {{.name = text, .points = {{1, 2}}}, {.name = text, .points = {{1, 3}}}},
       .caption = text});
  report.add_bar_chart({.title = text,
                        .value_label = text,
                        .categories = {text},
                        .series = {{.name = text, .bars = {Measured{0.5, 0.1, 0.1}}},
                                   {.name = text, .bars = {std::nullopt}}},
                        .caption = text});
  report.add_section(text);
  report.add_samples({{text, text, text, true, text}, {text, text, "", {}, ""}});
  report.add_preformatted(text, text);
  report.add_section(text);
  report.add_stages({{text, 2.5, text}, {text, 0, ""}});
  return report;
}

TEST(ReportHtml, IsWellFormed) {
  EXPECT_EQ(MarkupReader(report_of("plain").html()).complaint(), "");
  EXPECT_EQ(MarkupReader(Report({.title = "empty"}).html()).complaint(), "");
}

TEST(ReportHtml, StaysWellFormedWhateverTheTextsHold) {
  const std::string hostile[] = {"<script>alert(1)</script>",
                                 "\"><img src=x onerror=alert(1)>",
                                 "' onmouseover='alert(1)",
                                 "</style></title></pre></svg><h1>",
                                 "<!-- ]]> -->",
                                 "&lt;already&gt; & bare &",
                                 std::string("\0\x01\x1b[2J\x7f", 7),
                                 "\xff\xfe\xc3\x28",
                                 "{} {0} %s %n",
                                 "",
                                 std::string(3000, 'W')};
  for (const std::string& text : hostile) {
    const std::string html = report_of(text).html();
    ASSERT_EQ(MarkupReader(html).complaint(), "") << text;
    EXPECT_THAT(html, Not(HasSubstr("<script"))) << text;
    EXPECT_THAT(html, Not(HasSubstr("<img"))) << text;
    EXPECT_EQ(html.find('\0'), std::string::npos) << text;
    EXPECT_EQ(html.find('\x1b'), std::string::npos) << text;
    EXPECT_EQ(html.find('\xff'), std::string::npos) << text;
  }
}

TEST(ReportHtml, NeedsNothingFromOutside) {
  const std::string html = report_of("plain").html();
  for (const char* reference :
       {"http:", "https:", "//", "src=", "url(", "@import", "<script", "onload"})
    EXPECT_THAT(html, Not(HasSubstr(reference)));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST(ReportHtml, SaysWhatWasPutIn) {
  Report report({.title = "Quickstart"});
  report.add_table(
      {.title = "Scores",
       .columns =
           {{.key = "n", .title = "items", .style = NumberStyle::count},
            {.key = "r", .title = "recall [%]", .style = NumberStyle::percent, .decimals = 1}},
       .rows = {{std::int64_t{1234}, Measured{0.842, 0.011, 0.05}}}});
  report.add_samples({{"Tungsten is element", " 74.", "74", false, ""}});
  report.add_stages({{"prep", 30, ""}, {"train", 90, ""}});
  const std::string html = report.html();
  EXPECT_THAT(html, HasSubstr("<td class=\"number\">1,234</td>"));
  EXPECT_THAT(html, HasSubstr("84.2<span class=\"error\"> ± 1.1</span>"));
  EXPECT_THAT(html,
              HasSubstr("<span class=\"prompt\">Tungsten is element</span> <mark>74.</mark>"));
  EXPECT_THAT(html, HasSubstr("✗ wrong</span> · expected: 74"));
  EXPECT_THAT(html, HasSubstr("margin-left:25.00%;width:75.00%"));
  EXPECT_THAT(html, HasSubstr("<td class=\"number\">2:00</td>"));
}

TEST(ReportHtml, ListsItsSectionsOnceThereAreThree) {
  Report report({.title = "x"});
  report.add_section("one");
  report.add_section("two");
  EXPECT_THAT(report.html(), Not(HasSubstr("<nav")));
  report.add_section("three");
  EXPECT_THAT(report.html(), HasSubstr("<a href=\"#s3\">three</a>"));
  EXPECT_THAT(report.html(), HasSubstr("<section id=\"s3\">"));
}

TEST(ReportHtml, AScoreThatIsNoNumberHasNoPicture) {
  Report report({.title = "x"});
  report.add_table({.title = "t",
                    .columns = {{.key = "r", .title = "r"}},
                    .rows = {{Measured{std::numeric_limits<double>::quiet_NaN(), 0, {}}},
                             {Measured{3, 1, {}}}}});
  const std::string html = report.html();
  EXPECT_EQ(MarkupReader(html).complaint(), "");
  EXPECT_THAT(html, HasSubstr("<td class=\"picture\"></td>"));
}

TEST(ReportHtml, OfNoStagesOrFiguresOrSamplesIsStillWellFormed) {
  Report report({.title = "x"});
  report.add_stages({});
  report.add_figures({});
  report.add_samples({});
  report.add_table({});
  EXPECT_EQ(MarkupReader(report.html()).complaint(), "");
}

class ReportFile : public FolderTest {};

TEST_F(ReportFile, IsWrittenWholeOrNotAtAll) {
  const Report report = report_of("x");
  const std::string path = join_path(dir, "report.html");
  ASSERT_TRUE(report.write(env, path).ok());
  EXPECT_EQ(env.read_file(path).value(), report.html());
  const auto status = report.write(env, join_path(dir, "missing/report.html"));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("missing/report.html"));
}

}  // namespace
}  // namespace boreal::monitor
