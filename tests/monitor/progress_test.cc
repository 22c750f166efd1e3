#include "monitor/progress.h"

#include <gmock/gmock.h>

#include "monitor/escape.h"
#include "monitor/number_text.h"

namespace boreal::monitor {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class ProgressTest : public testing::Test {
 protected:
  ProgressOptions options(bool terminal) {
    return {.label = "train",
            .unit = "step",
            .total = 1000,
            .terminal = terminal,
            .write = [this](std::string_view text) { out.emplace_back(text); }};
  }
  ManualClock clock;
  std::vector<std::string> out;
};

TEST_F(ProgressTest, ALogGetsAWholeLineEveryFewSeconds) {
  Progress progress(clock, options(false));
  for (int step = 1; step <= 90; ++step) {
    clock.advance(0.125);
    progress.update(step, [] { return training_fields(2.31416, 12345, 0.314); });
  }
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(
      out[2],
      "train  step    81/1,000    8 %  loss 2.3142  12.3k tokens/s  31.4 % of peak  eta 1:55\n");
}

TEST_F(ProgressTest, ATerminalLineIsRedrawnInPlaceTenTimesASecondAndClosedAtTheEnd) {
  {
    Progress progress(clock, options(true));
    for (int step = 1; step <= 100; ++step) {
      clock.advance(0.0101);
      progress.update(step);
    }
    EXPECT_GE(out.size(), 9U);
    EXPECT_LE(out.size(), 11U);
    for (const std::string& text : out) {
      EXPECT_TRUE(text.starts_with('\r'));
      EXPECT_THAT(text, EndsWith("\x1b[K"));
    }
  }
  EXPECT_EQ(out.back(), "\n");
}

TEST_F(ProgressTest, ATerminalLineIsCutToTheWidthSoThatItDoesNotWrap) {
  ProgressOptions narrow = options(true);
  narrow.width_columns = 20;
  Progress progress(clock, narrow);
  progress.update(5);
  EXPECT_EQ(out[0], "\rtrain  step     5/…\x1b[K");
}

TEST_F(ProgressTest, ANoticeStandsOnItsOwnLineAboveTheRedrawnOne) {
  Progress progress(clock, options(true));
  progress.update(5);
  out.clear();
  progress.print("checkpoint saved");
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[0] + out[1], "\r\x1b[Kcheckpoint saved\n");
  EXPECT_THAT(out[2], HasSubstr("5/1,000"));
}

TEST_F(ProgressTest, TheLastLineHasTheFieldsOfTheLastUpdate) {
  Progress progress(clock, options(false));
  for (int step = 1; step <= 1000; ++step)
    progress.update(step, [&] {
      return std::vector<ProgressField>{{"loss", std::to_string(step)}};
    });
  progress.finish();
  ASSERT_EQ(out.size(), 2U);
  EXPECT_THAT(out[0], HasSubstr("loss 1\n"));
  EXPECT_THAT(out[1], HasSubstr("100 %  loss 1000  took"));
}

TEST_F(ProgressTest, QuietPrintsNothingAtAll) {
  ProgressOptions quiet = options(true);
  quiet.quiet = true;
  {
    Progress progress(clock, quiet);
    progress.update(1);
    progress.update(2, [&] {
      ADD_FAILURE() << "fields were asked for";
      return std::vector<ProgressField>{};
    });
    progress.print("notice");
    progress.finish();
  }
  EXPECT_TRUE(out.empty());
}

TEST_F(ProgressTest, TheEtaForgetsASlowStartAndIgnoresWhatAnEarlierRunDid) {
  ProgressOptions resumed = options(false);
  resumed.first = 500;
  Progress progress(clock, resumed);
  EXPECT_LT(progress.eta_s(), 0) << "unknown before the first step";
  clock.advance(30);
  progress.update(501);
  EXPECT_NEAR(progress.eta_s(), 499 * 30, 1e-6);
  for (int step = 502; step <= 800; ++step) {
    clock.advance(1);
    progress.update(step);
  }
  EXPECT_NEAR(progress.eta_s(), 200, 5);
}

TEST_F(ProgressTest, TheLastLineSaysWhatItTook) {
  Progress progress(clock, options(false));
  clock.advance(65);
  progress.update(999);
  EXPECT_THAT(out.back(), HasSubstr(" 99 %")) << "not yet 100 %";
  progress.update(1000);
  progress.finish();
  EXPECT_EQ(out.back(), "train  step 1,000/1,000  100 %  took 1:05\n");
}

TEST_F(ProgressTest, WithoutATotalItCounts) {
  ProgressOptions open = options(false);
  open.total = 0;
  open.unit = "";
  Progress progress(clock, open);
  progress.update(12345);
  EXPECT_EQ(out[0], "train  12,345\n");
}

TEST_F(ProgressTest, AHostileLabelCannotMoveTheCursor) {
  ProgressOptions hostile = options(false);
  hostile.label = "a\x1b[2J\rb\n";
  Progress progress(clock, hostile);
  progress.update(1);
  EXPECT_THAT(out[0], HasSubstr("a␛[2J␍b␊"));
}

TEST(NumberText, ReadsAsPeopleWriteNumbers) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(-1234567), "-1,234,567");
  EXPECT_EQ(count_text(123), "123");
  EXPECT_EQ(count_text(INT64_MIN), "-9,223,372,036,854,775,808");
  EXPECT_EQ(short_text(0), "0");
  EXPECT_EQ(short_text(999.6), "1k");
  EXPECT_EQ(short_text(-12345), "-12.3k");
  EXPECT_EQ(short_text(3.2e9), "3.2G");
  EXPECT_EQ(short_text(5e15), "5e+03T");
  EXPECT_EQ(duration_text(0.34), "340 ms");
  EXPECT_EQ(duration_text(59.96), "1:00");
  EXPECT_EQ(duration_text(3599.7), "1:00:00");
  EXPECT_EQ(duration_text(7389), "2:03:09");
  EXPECT_EQ(duration_text(-1), "?");
  EXPECT_EQ(bytes_text(12), "12 B");
  EXPECT_EQ(bytes_text(1.5e6), "1.5 MB");
  EXPECT_EQ(utc_text(1.7e9), "2023-11-14T22:13:20Z");
}

}  // namespace
}  // namespace boreal::monitor
