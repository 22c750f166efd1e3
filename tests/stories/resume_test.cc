// A run that was stopped, by whatever, ends with the bits of one that was not.
#include <signal.h>

#include <algorithm>
#include <set>

#include "base/philox.h"
#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

using testing::HasSubstr;

class Resume : public Story {
 protected:
  std::int64_t rows_written(const std::string& out) const {
    const auto text = env.read_file(path(out + "/metrics.jsonl"));
    return text.ok() ? std::ranges::count(*text, '\n') : 0;
  }
  bool saving(const std::string& out) const {
    const auto names = env.list_dir(path(out + "/checkpoints"));
    return names.ok() && std::ranges::any_of(*names, [](const std::string& name) {
             return name.starts_with(".step-");
           });
  }
  std::string last_checkpoint(const std::string& out) const {
    return fmt::format("{}/checkpoints/step-{}", out, steps);
  }
  // Weights as others see them, and all that training goes on from.
  void expect_same_result(const std::string& out, const std::string& other) {
    expect_same_metrics(out, other);
    expect_same_files(last_checkpoint(out), last_checkpoint(other));
    EXPECT_TRUE(exported(out) == exported(other)) << out << " and " << other;
  }
  std::string exported(const std::string& out) {
    const std::string to = fmt::format("{}_hf{}", out, ++exports_);
    const Outcome outcome = run({"export", "--checkpoint", last_checkpoint(out), "--to", to});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return read(to + "/model.safetensors");
  }

 private:
  int exports_ = 0;
};

TEST_F(Resume, TenKillsAtRandomMomentsSomeInsideASaveLeaveTheResultOfAnUnbrokenRun) {
  trained("unbroken");
  const Rng rng(20, "kills");
  std::set<std::string> outs;
  int kills = 0;
  int inside_saves = 0;
  for (std::uint64_t life = 0; life < 60 && (kills < 10 || inside_saves < 3); ++life) {
    // A run that ended before its kill is a finished one; the next kills go to a new one.
    const std::string out = fmt::format("killed_{}", outs.size());
    const std::int64_t begun = rows_written(out);
    const auto target =
        begun + 1 + static_cast<std::int64_t>(rng.uniform(life) * static_cast<double>(steps) / 6);
    const auto program = start(train_line(out));
    const bool there = program->wait_until(
        [&] { return rows_written(out) >= target && (life % 2 == 0 || saving(out)); });
    program->send(SIGKILL);
    const Outcome outcome = program->wait();
    if (!there || outcome.signal != SIGKILL) {
      ASSERT_EQ(outcome.code, 0) << outcome.err;
      outs.insert(out);
      continue;
    }
    ++kills;
    inside_saves += saving(out) ? 1 : 0;
  }
  EXPECT_GE(kills, 10);
  EXPECT_GE(inside_saves, 3);
  outs.insert(fmt::format("killed_{}", outs.size()));
  for (const std::string& out : outs) {
    trained(out);
    EXPECT_EQ(leftovers(out), std::vector<std::string>{});
    expect_same_result(out, "unbroken");
  }
}

TEST_F(Resume, TheSameRunTwiceAndWithOtherThreadsGivesTheSameBits) {
  const std::vector<std::string> seldom = {"--set", "checkpoint.every_steps=50"};
  trained("first", seldom);
  trained("second", seldom);
  expect_same_result("second", "first");
  trained("one_thread", {"--set", "checkpoint.every_steps=50", "--set", "threads=1"});
  expect_same_metrics("one_thread", "first");
  EXPECT_TRUE(exported("one_thread") == exported("first"));
}

TEST_F(Resume, TermAndUsr1SaveAndExit75IntSavesAndExits130AndTheRunGoesOn) {
  const std::vector<std::string> longer = {"--set", "train.steps=1000000"};
  std::int64_t done = 0;
  for (const auto& [signal, code] :
       {std::pair{SIGTERM, 75}, std::pair{SIGUSR1, 75}, std::pair{SIGINT, 130}}) {
    const auto program = start(train_line("out", longer));
    ASSERT_TRUE(program->wait_until([&] { return rows_written("out") >= done + 3; }));
    program->send(signal);
    const Outcome outcome = program->wait();
    expect_error(outcome, code, {"stopped after step", "of 1000000"});
    const auto rows = metrics("out");
    ASSERT_FALSE(rows.empty());
    EXPECT_GE(rows.back().step, done + 3);
    done = rows.back().step;
    EXPECT_THAT(checkpoints("out"), testing::Contains(fmt::format("step-{}", done)));
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("stopped after step {} ", done)));
  }
  // What was written across the three stops is what one process writes.
  const auto program = start(train_line("unbroken", longer));
  ASSERT_TRUE(program->wait_until([&] { return rows_written("unbroken") >= done; }));
  program->send(SIGTERM);
  EXPECT_EQ(program->wait().code, 75);
  expect_first_rows("out", "unbroken");
}

TEST_F(Resume, AFinishedRunHasNothingToDoAndNeverBeginsAgain) {
  const auto line = [](const std::string& resume) {
    return std::vector<std::string>{"--json", "--resume", resume, "--set",
                                    "checkpoint.every_steps=0"};
  };
  trained("out", line("auto"));
  const auto before = metrics("out");
  const auto files = files_of(last_checkpoint("out"));
  for (const auto& [resume, first_step] : {std::pair<std::string, std::int64_t>{"auto", steps},
                                           {last_checkpoint("out"), steps},
                                           {"never", 0}}) {
    const Outcome again = train("out", line(resume));
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.out, HasSubstr(fmt::format("\"first_step\":{},", first_step)));
    EXPECT_TRUE(files_of(last_checkpoint("out")) == files);
    const auto rows = metrics("out");
    ASSERT_EQ(rows.size(), before.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      EXPECT_TRUE(monitor::equal_but_for_times(rows[i], before[i]));
  }
}

}  // namespace
}  // namespace boreal::stories
