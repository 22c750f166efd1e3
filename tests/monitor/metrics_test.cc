#include "monitor/metrics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "base/philox.h"
#include "tests/monitor/folder.h"

namespace boreal::monitor {
namespace {

using testing::HasSubstr;

StepMetrics row_of(std::int64_t step, double step_ms = 12.5) {
  const Rng rng(7, "metrics", "row", static_cast<std::uint64_t>(step));
  StepMetrics row{.step = step,
                  .tokens = 512 * step,
                  .loss = 8 / (1 + rng.uniform(0)),
                  .grad_norm = rng.uniform(1),
                  .lr = 1e-3 * rng.uniform(2),
                  .step_ms = step_ms,
                  .tokens_per_s = 512e3 / step_ms,
                  .flop_utilisation = 0.31,
                  .phases_ms = {{"fetch", 0.25 * step_ms}, {"forward-backward", 0.75 * step_ms}}};
  if (step % 4 == 0) row.validation_loss = 9 / (1 + rng.uniform(3));
  return row;
}

class Metrics : public FolderTest {
 protected:
  std::string path() const { return join_path(dir, "metrics.jsonl"); }
  void feed(std::int64_t resume_step, std::int64_t last_step, double step_ms = 12.5) {
    auto writer = MetricsWriter::open(env, path(), resume_step);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    for (std::int64_t step = resume_step + 1; step <= last_step; ++step)
      ASSERT_TRUE(writer->append(row_of(step, step_ms)).ok());
    ASSERT_TRUE(writer->sync().ok());
  }
  void write(const std::string& text) { put(path(), text); }
  std::string content() { return env.read_file(path()).value(); }
};

TEST_F(Metrics, ALineIsTheObjectOfTheContract) {
  StepMetrics row = row_of(4);
  row.loss = 0.1;
  row.grad_norm = 1;
  row.lr = 1e-5;
  row.validation_loss = 2.5;
  row.flop_utilisation = 1.0 / 3;
  EXPECT_EQ(metrics_line(row),
            R"({"step":4,"tokens":2048,"loss":0.1,"grad_norm":1,"lr":1e-05,)"
            R"("step_ms":12.5,"tokens_per_s":40960,"flop_utilisation":0.3333333333333333,)"
            R"("validation_loss":2.5,"phases_ms":{"fetch":3.125,"forward-backward":9.375}})");
}

TEST_F(Metrics, EveryNumberReadsBackBitForBit) {
  const Rng rng(3, "doubles");
  std::vector<StepMetrics> rows;
  std::string text;
  for (std::int64_t step = 1; step <= 2000; ++step) {
    StepMetrics row = row_of(step);
    row.loss = std::bit_cast<double>(rng.bits(static_cast<std::uint64_t>(step)));
    if (!std::isfinite(row.loss)) row.loss = std::numeric_limits<double>::denorm_min();
    rows.push_back(row);
    text += metrics_line(row) + "\n";
  }
  write(text);
  const auto read = read_metrics(env, path());
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE(equal_but_for_times((*read)[i], rows[i])) << metrics_line(rows[i]);
    ASSERT_EQ((*read)[i].phases_ms, rows[i].phases_ms);
    ASSERT_EQ((*read)[i].step_ms, rows[i].step_ms);
  }
}

TEST_F(Metrics, WhatJsonCannotHoldIsNullAndReadsBackAsNotANumber) {
  StepMetrics row = row_of(1);
  row.loss = std::numeric_limits<double>::infinity();
  row.grad_norm = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(metrics_line(row), HasSubstr(R"("loss":null,"grad_norm":null)"));
  write(metrics_line(row) + "\n");
  const auto read = read_metrics(env, path());
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(std::isnan(read->at(0).loss));
  EXPECT_TRUE(std::isnan(read->at(0).grad_norm));
}

TEST_F(Metrics, AResumedFileEqualsAnUnbrokenOneButForTimes) {
  feed(0, 10);
  const auto unbroken = read_metrics(env, path()).value();
  feed(0, 7);
  feed(4, 6, 99);
  feed(4, 10, 55);
  const auto resumed = read_metrics(env, path()).value();
  ASSERT_EQ(resumed.size(), unbroken.size());
  for (std::size_t i = 0; i < unbroken.size(); ++i)
    EXPECT_TRUE(equal_but_for_times(resumed[i], unbroken[i])) << i;
  EXPECT_EQ(resumed[3].step_ms, 12.5);
  EXPECT_EQ(resumed[4].step_ms, 55);
}

TEST_F(Metrics, EqualityButForTimesSeesEveryOtherField) {
  const StepMetrics row = row_of(4);
  const auto differs = [&](auto change) {
    StepMetrics other = row;
    change(other);
    return !equal_but_for_times(row, other);
  };
  EXPECT_TRUE(differs([](StepMetrics& r) { r.step += 1; }));
  EXPECT_TRUE(differs([](StepMetrics& r) { r.tokens += 1; }));
  EXPECT_TRUE(differs([](StepMetrics& r) { r.loss = std::nextafter(r.loss, 9); }));
  EXPECT_TRUE(differs([](StepMetrics& r) { r.grad_norm = std::nextafter(r.grad_norm, 9); }));
  EXPECT_TRUE(differs([](StepMetrics& r) { r.lr = std::nextafter(r.lr, 9); }));
  EXPECT_TRUE(differs([](StepMetrics& r) { r.validation_loss.reset(); }));
  EXPECT_FALSE(differs([](StepMetrics& r) { r.step_ms = 1; }));
  EXPECT_FALSE(differs([](StepMetrics& r) { r.phases_ms.clear(); }));
}

TEST_F(Metrics, ATornLastLineIsCutAtEveryPossiblePlace) {
  feed(0, 3);
  const std::string whole = content();
  const std::size_t two_lines = whole.find('\n', whole.find('\n') + 1) + 1;
  for (std::size_t size = two_lines; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    ASSERT_EQ(read_metrics(env, path()).value().size(), 2U) << size;
    feed(2, 3);
    ASSERT_EQ(content(), whole) << size;
  }
}

TEST_F(Metrics, WhatFollowsTheCheckpointIsCutEvenIfItIsRubbish) {
  feed(0, 4);
  const std::string four = content();
  write(four + std::string("\0\0\n{\"step\":\n", 13));
  feed(4, 4);
  EXPECT_EQ(content(), four);
}

TEST_F(Metrics, DamageInTheMiddleIsRefusedWithTheNumberOfTheLine) {
  feed(0, 5);
  std::string text = content();
  text[text.find("\"loss\"", text.find("\"step\":3")) + 1] = 'L';
  write(text);
  const auto read = read_metrics(env, path());
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("metrics.jsonl:3: key \"loss\" is missing"));
  EXPECT_EQ(exit_code(read.error().kind), 3);
  const auto resumed = MetricsWriter::open(env, path(), 4);
  ASSERT_FALSE(resumed.ok());
  EXPECT_THAT(resumed.error().message, HasSubstr("metrics.jsonl:3: "));
  EXPECT_EQ(content(), text) << "a refused file is left as it is";
}

TEST_F(Metrics, EachKindOfDamagedLineIsRefused) {
  const std::string good = metrics_line(row_of(1));
  const auto refusal = [&](const std::string& line) {
    write(line + "\n");
    const auto read = read_metrics(env, path());
    return read.ok() ? "accepted" : read.error().message;
  };
  EXPECT_THAT(refusal(""), HasSubstr(":1: no JSON object"));
  EXPECT_THAT(refusal("[1]"), HasSubstr(":1: no JSON object"));
  EXPECT_THAT(refusal(good.substr(0, 40)), HasSubstr(":1: no JSON object"));
  EXPECT_THAT(refusal(R"({"step":"1"})"),
              HasSubstr(R"(key "step" is a string, not a whole number)"));
  EXPECT_THAT(refusal(R"({"step":1.5})"),
              HasSubstr(R"(key "step" is a number, not a whole number)"));
  EXPECT_THAT(refusal(R"({"step":1,"tokens":5,"loss":"x"})"),
              HasSubstr(R"(key "loss" is a string)"));
  EXPECT_THAT(refusal(good.substr(0, good.find(",\"phases")) + "}"), HasSubstr("phases_ms"));
  EXPECT_THAT(refusal(good + "\n" + good), HasSubstr(":2: step 1 follows step 1"));
  EXPECT_EQ(refusal(good), "accepted");
}

TEST_F(Metrics, RowsThatEndBeforeTheCheckpointAreRefused) {
  feed(0, 5);
  const auto writer = MetricsWriter::open(env, path(), 8);
  ASSERT_FALSE(writer.ok());
  EXPECT_THAT(writer.error().message, HasSubstr("rows end at step 5, the checkpoint is of step 8"));
}

TEST_F(Metrics, AMovedAwayFileIsBegunAnewOnResume) {
  feed(3, 6);
  EXPECT_EQ(read_metrics(env, path()).value().front().step, 4);
  feed(5, 7);
  EXPECT_EQ(read_metrics(env, path()).value().size(), 4U);
}

TEST_F(Metrics, AFreshRunEmptiesTheFile) {
  feed(0, 5);
  feed(0, 2);
  EXPECT_EQ(read_metrics(env, path()).value().size(), 2U);
}

TEST_F(Metrics, AFullDiskIsAnErrorThatNamesTheFile) {
  auto writer = MetricsWriter::open(env, "/dev/full", 0);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  const Status status = writer->append(row_of(1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "cannot write /dev/full: No space left on device");
  EXPECT_EQ(exit_code(status.error().kind), 1);
}

}  // namespace
}  // namespace boreal::monitor
