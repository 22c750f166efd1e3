#include "monitor/chart.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "monitor/axis.h"
#include "tests/monitor/folder.h"
#include "tests/monitor/markup.h"

namespace boreal::monitor {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pointwise;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<std::string> tick_texts(const Axis& axis) {
  std::vector<std::string> texts;
  for (const double tick : axis.ticks) texts.push_back(tick_text(axis, tick));
  return texts;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1))
    ++n;
  return n;
}

LineChart chart_of(std::vector<Point> points) {
  return {.title = "Loss",
          .x_label = "step",
          .y_label = "loss",
          .series = {{.name = "a", .points = std::move(points)}}};
}

TEST(AxisTicks, StandAtRoundNumbersAndEncloseTheData) {
  EXPECT_THAT(tick_texts(make_axis(0, 1, {.ticks = 5})),
              ElementsAre("0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(tick_texts(make_axis(0.3, 7.9, {.ticks = 5})), ElementsAre("0", "2", "4", "6", "8"));
  EXPECT_THAT(tick_texts(make_axis(-3, 4, {.ticks = 4})), ElementsAre("-4", "-2", "0", "2", "4"));
  EXPECT_THAT(tick_texts(make_axis(1, 2400, {.extend = false, .ticks = 8})),
              ElementsAre("500", "1,000", "1,500", "2,000"));
  EXPECT_THAT(tick_texts(make_axis(0, 60000, {.ticks = 3})), ElementsAre("0", "20k", "40k", "60k"));
  EXPECT_THAT(tick_texts(make_axis(0, 0.002, {.ticks = 4})),
              ElementsAre("0", "0.0005", "0.0010", "0.0015", "0.0020"));
}

TEST(AxisTicks, OfALogarithmicAxisThinOutWithTheNumberOfDecades) {
  EXPECT_THAT(make_axis(0.3, 8, {.log = true, .ticks = 5}).ticks,
              Pointwise(DoubleEq(), {0.2, 0.5, 1.0, 2.0, 5.0, 10.0}));
  EXPECT_THAT(make_axis(1e-3, 1e2, {.log = true, .ticks = 5}).ticks,
              Pointwise(testing::DoubleNear(1e-9), {1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2}));
  EXPECT_LE(make_axis(1e-30, 1e30, {.log = true, .ticks = 5}).ticks.size(), 7U);
}

TEST(AxisTicks, ExistForEveryRange) {
  const std::vector<double> values = {-1e300, -1e9, -7, -1e-9,     0,   1e-300, 1e-9,
                                      0.1,    1,    7,  7 + 1e-13, 1e9, 1e300};
  for (const double low : values) {
    for (const double high : values) {
      if (low > high) continue;
      for (const bool log : {false, true}) {
        if (log && low <= 0) continue;
        for (const bool extend : {false, true}) {
          const Axis axis = make_axis(low, high, {.log = log, .extend = extend, .ticks = 5});
          EXPECT_LT(axis.low, axis.high) << low << " " << high;
          EXPECT_GE(axis.position(low), -1e-9) << low << " " << high;
          EXPECT_LE(axis.position(high), 1 + 1e-9) << low << " " << high;
          EXPECT_LT(axis.ticks.size(), 20U) << low << " " << high;
          EXPECT_GE(axis.ticks.size(), 1U) << low << " " << high << " " << log << extend;
        }
      }
    }
  }
}

TEST(LineChartSvg, ShowsEveryPointItCanAndBreaksTheLineWhereItCannot) {
  LineChart chart = chart_of({{1, 2}, {2, kNan}, {3, 4}, {4, 5}, {5, kInfinity}, {6, -1}});
  chart.series[0].markers = true;
  std::string svg = to_svg(chart);
  EXPECT_EQ(MarkupReader(svg).complaint(), "");
  EXPECT_EQ(count(svg, "class=\"hit\""), 4U);
  EXPECT_THAT(svg, HasSubstr("step 4\na 5.000"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  const std::size_t path = svg.find("class=\"line\" d=\"");
  EXPECT_EQ(count(svg.substr(path, svg.find("/>", path) - path), "M"), 3U);
  chart.log_y = true;
  svg = to_svg(chart);
  EXPECT_EQ(count(svg, "class=\"hit\""), 3U) << "a logarithmic axis has no place for -1";
}

TEST(LineChartSvg, OfNothingSaysSo) {
  for (const LineChart& chart : {chart_of({}), chart_of({{kNan, 1}}), LineChart{.title = "none"}}) {
    const std::string svg = to_svg(chart);
    EXPECT_EQ(MarkupReader(svg).complaint(), "");
    EXPECT_THAT(svg, HasSubstr("no data"));
  }
}

TEST(LineChartSvg, OfOnePointOrAFlatLineIsStillAChart) {
  for (const auto& points :
       {std::vector<Point>{{1, 0}}, {{1, 3}}, {{1, 3}, {2, 3}}, {{1, -2}, {2, -2}}}) {
    const std::string svg = to_svg(chart_of(points));
    EXPECT_EQ(MarkupReader(svg).complaint(), "");
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_EQ(count(svg, "class=\"hit\""), points.size());
  }
}

TEST(LineChartSvg, OfAHundredThousandStepsStaysSmallAndKeepsItsSpike) {
  std::vector<Point> points;
  for (int i = 0; i < 100000; ++i)
    points.push_back({static_cast<double>(i), i == 77777 ? 50 : 1 + std::sin(i)});
  LineChart chart = chart_of(points);
  chart.height_px = 340;
  const std::string svg = to_svg(chart);
  EXPECT_LT(svg.size(), 100000U);
  // Without a legend the plot begins 34 px below the top; the spike is the axis' end.
  EXPECT_THAT(svg, HasSubstr(" 34.0L"));
  chart.series[0].smooth = true;
  EXPECT_THAT(to_svg(chart), HasSubstr("running mean"));
}

TEST(LineChartSvg, EveryMarkerTellsItsValueThoughLongLinesTellOnlySome) {
  LineChart chart = chart_of({});
  for (int i = 1; i <= 10000; ++i) chart.series[0].points.push_back({1.0 * i, 2});
  chart.series.push_back({.name = "validation", .markers = true});
  for (int i = 7; i < 10000; i += 999) chart.series[1].points.push_back({1.0 * i, 3});
  EXPECT_EQ(count(to_svg(chart), "\nvalidation 3.000</title>"), chart.series[1].points.size());
}

TEST(LineChartSvg, EndLabelsDoNotOverlap) {
  LineChart chart{.title = "x"};
  for (int i = 0; i < 6; ++i)
    chart.series.push_back(
        {.name = fmt::format("series {}", i), .points = {{0, 0}, {1, 1e-3 * i}}});
  chart.series.push_back({.name = "high", .points = {{0, 0}, {1, 10}}});
  const std::string svg = to_svg(chart);
  std::vector<double> ys;
  for (std::size_t at = svg.find("class=\"own value\""); at != std::string::npos;
       at = svg.find("class=\"own value\"", at + 1)) {
    const std::size_t y = svg.rfind("y=\"", at) + 3;
    ys.push_back(std::stod(svg.substr(y)));
  }
  ASSERT_EQ(ys.size(), 7U);
  std::ranges::sort(ys);
  for (std::size_t i = 1; i < ys.size(); ++i) EXPECT_GE(ys[i] - ys[i - 1], 14.9);
}

BarChart bars() {
  return {.title = "Recall",
          .categories = {"life", "earth"},
          .series = {{.name = "seen", .bars = {Measured{0.9, 0.02, 0.1}, Measured{0.99, 0.05, {}}}},
                     {.name = "held out", .bars = {std::nullopt, Measured{kNan, 0, {}}}}}};
}

TEST(BarChartSvg, ShowsErrorChanceAndWhatIsMissing) {
  const std::string svg = to_svg(bars());
  EXPECT_EQ(MarkupReader(svg).complaint(), "");
  EXPECT_EQ(count(svg, "class=\"bar\" x="), 2U);
  EXPECT_EQ(count(svg, ">none<"), 2U);
  EXPECT_EQ(count(svg, "class=\"whisker\""), 3U) << "two bars and the legend";
  EXPECT_EQ(count(svg, "class=\"chance\""), 2U) << "one bar and the legend";
  EXPECT_THAT(svg, HasSubstr("<title>life · seen\n90.0 ± 2.0 %\nchance 10.0 %</title>"));
}

TEST(BarChartSvg, AnIntervalBeyondTheAxisIsCutAtItsEnd) {
  BarChart chart = bars();
  chart.series.pop_back();
  const std::string svg = to_svg(chart);
  // 0.99 + 1.96 x 0.05 lies behind 100 %, which stands 64 px before the right edge.
  EXPECT_THAT(svg, HasSubstr("H836.0"));
}

TEST(BarChartSvg, OfPlainValuesScalesToThem) {
  const BarChart chart{
      .title = "Speed",
      .categories = {"a", "b", "c"},
      .series = {{.bars = {Measured{120, 0, {}}, Measured{-30, 10, {}}, Measured{0, 0, {}}}}},
      .style = NumberStyle::plain,
      .decimals = 0};
  const std::string svg = to_svg(chart);
  EXPECT_EQ(MarkupReader(svg).complaint(), "");
  EXPECT_THAT(svg, HasSubstr(">150<"));
  EXPECT_THAT(svg, HasSubstr(">-50<"));
}

StackedChart stacked() {
  return {.title = "Time",
          .value_label = "ms",
          .series = {"products", "rows", "outside"},
          .rest = true,
          .bars = {{.name = "forward & back", .values = {30, 10, 0}},
                   {.name = "update", .values = {0, 0, 5}}}};
}

TEST(StackedChartSvg, ShowsEveryPieceWithItsShareAndEachBarWithItsLength) {
  const std::string svg = to_svg(stacked());
  EXPECT_EQ(MarkupReader(svg).complaint(), "");
  EXPECT_EQ(count(svg, "class=\"piece\" x="), 3U) << "a piece of nothing is not drawn";
  EXPECT_THAT(svg, HasSubstr("<title>forward &amp; back · rows\n10 (25 %)</title>"));
  EXPECT_THAT(svg, HasSubstr(">75 %</text>"));
  EXPECT_THAT(svg, HasSubstr(">40</text>"));
  // What is left over is faint, in the legend and in the bar.
  EXPECT_EQ(count(svg, "<g class=\"c0\""), 2U);
}

TEST(StackedChartSvg, PiecesLieEndToEnd) {
  const std::string svg = to_svg(stacked());
  std::vector<std::pair<double, double>> pieces;  // x, width
  for (std::size_t at = svg.find("class=\"piece\" x=\""); at != std::string::npos;
       at = svg.find("class=\"piece\" x=\"", at + 1)) {
    const std::size_t x = svg.find("x=\"", at) + 3;
    pieces.emplace_back(std::stod(svg.substr(x)),
                        std::stod(svg.substr(svg.find("width=\"", x) + 7)));
  }
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_NEAR(pieces[0].first + pieces[0].second, pieces[1].first, 0.02);
  EXPECT_NEAR(pieces[0].second, 3 * pieces[1].second, 0.05);
  EXPECT_EQ(pieces[2].first, pieces[0].first);
}

TEST(StackedChartSvg, OfNothingIsStillAPicture) {
  EXPECT_EQ(MarkupReader(to_svg(StackedChart{.title = "none"})).complaint(), "");
}

TEST(IntervalSvg, DrawsNothingForWhatIsNoNumber) {
  EXPECT_EQ(interval_svg({kNan, 1, {}}, 0, 1, "tip"), "");
  EXPECT_EQ(interval_svg({0.5, 0.1, {}}, 0, 0, "tip"), "");
  const std::string svg = interval_svg({0.5, kNan, 0.25}, 0, 1, "a<b");
  EXPECT_EQ(MarkupReader(svg).complaint(), "");
  EXPECT_EQ(count(svg, "class=\"span\""), 0U);
}

class ChartFile : public FolderTest {};

TEST_F(ChartFile, IsXmlOfItsOwnWithStyleAndTitle) {
  LineChart chart = chart_of({{1, 2}, {2, 3}});
  chart.title = "<Loss> & \"more\"";
  const std::string path = join_path(dir, "loss.svg");
  ASSERT_TRUE(write_svg(env, path, chart).ok());
  const std::string svg = env.read_file(path).value();
  EXPECT_EQ(MarkupReader(svg).complaint(), "");
  EXPECT_THAT(svg, HasSubstr("xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, HasSubstr(">&lt;Loss&gt; &amp; &quot;more&quot;</text>"));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme:dark"));
  ASSERT_TRUE(write_svg(env, path, bars()).ok());
  EXPECT_EQ(MarkupReader(env.read_file(path).value()).complaint(), "");
  EXPECT_FALSE(write_svg(env, join_path(dir, "missing/loss.svg"), chart).ok());
}

}  // namespace
}  // namespace boreal::monitor
