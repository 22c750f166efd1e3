// Runs that are stopped and gone on from, on the same ranks or on others.
#include <signal.h>

#include "tests/stories/ranks.h"

namespace boreal::stories {
namespace {

using testing::HasSubstr;
using testing::Not;

class RanksResume : public RanksStory {
 protected:
  // A run that is stopped by a signal once it has so many rows.
  Outcome stopped_after(const Ranks& ranks, const std::string& out, std::int64_t rows,
                        const std::vector<std::string>& more) {
    const auto program = start_on(ranks, train_line(out, more));
    EXPECT_TRUE(program->wait_until([&] { return rows_written(out) >= rows; }));
    program->send(SIGUSR1);
    return program->wait();
  }
};

TEST_F(RanksResume, GoesOnFromTwoRanksOnOneAndThenOnFourAndSaysThatTheLayoutChanged) {
  NEEDS_MPIRUN();
  const std::vector<std::string> fp32 = {"--set", "model.dtype=fp32"};
  trained("unbroken", fp32);
  const Outcome on_two = stopped_after({.count = 2, .mpi = true, .shard = 2}, "out", 20, fp32);
  expect_one_error(on_two, 75, {"stopped after step", "of 105"});
  EXPECT_THAT(on_two.err, Not(HasSubstr("layout was")));
  EXPECT_TRUE(env.exists(path(last_checkpoint("out") + "/rank-1.bin")));

  const Outcome on_one = stopped_after({}, "out", 50, fp32);
  expect_one_error(on_one, 75,
                   {"warning: ",
                    "layout was 'dp_shard 2' when the checkpoint was saved and is 'one "
                    "rank' now; results may differ in their last bits"});
  expect_said_once(on_one.err);
  EXPECT_FALSE(env.exists(path(last_checkpoint("out") + "/rank-1.bin")));

  const Outcome on_four =
      stopped_after({.count = 4, .mpi = true, .shard = 2, .tp = 2}, "out", 70, fp32);
  expect_one_error(
      on_four, 75,
      {"layout was 'one rank' when the checkpoint was saved and is 'dp_shard 2 x tp 2' now"});
  expect_said_once(on_four.err);

  const Outcome last = run_on({.count = 4, .shard = 2, .replicate = 2}, train_line("out", fp32));
  expect_error(last, 0, {"'dp_shard 2 x tp 2' when", "'dp_replicate 2 x dp_shard 2' now"});
  expect_near_metrics("out", "unbroken", 1e-5);
}

TEST_F(RanksResume, ASignalToTheLauncherOrToOneRankStopsAllAfterTheSameStepAndTheJobGoesOn) {
  NEEDS_MPIRUN();
  constexpr Ranks kPair = {.count = 2, .mpi = true, .tp = 2};
  const std::vector<std::string> longer = {"--set", "train.steps=1000000"};
  struct Way {
    int signal;
    std::int64_t rank;  // -1: the launcher
    int code;           // -1: the launcher passes no code on
  };
  std::int64_t done = 0;
  for (const Way& way : {Way{SIGUSR1, -1, 75}, {SIGTERM, 1, 75}, {SIGTERM, -1, -1}}) {
    set_grace(way.code < 0 ? 1 : 0);
    const auto program = start_on(kPair, train_line("out", longer));
    ASSERT_TRUE(program->wait_until([&] { return rows_written("out") >= done + 3; }));
    if (way.rank < 0)
      program->send(way.signal);
    else
      ::kill(rank_processes().at(way.rank), way.signal);
    const Outcome outcome = program->wait();
    EXPECT_TRUE(all_gone());
    const auto rows = metrics("out");
    ASSERT_FALSE(rows.empty());
    done = rows.back().step;
    // It has a second before mpirun kills it, which is not always enough for a save.
    if (way.code < 0) continue;
    expect_one_error(outcome, way.code, {"stopped after step ", "of 1000000; the same command"});
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("stopped after step {} ", done)));
    EXPECT_EQ(last_checkpoint("out"), fmt::format("out/checkpoints/step-{}", done));
  }
  // What was written across the stops is what one job writes.
  const auto program = start_on(kPair, train_line("unbroken", longer));
  ASSERT_TRUE(program->wait_until([&] { return rows_written("unbroken") >= done; }));
  program->send(SIGUSR1);
  EXPECT_EQ(program->wait().code, 75);
  expect_first_rows("out", "unbroken");
}

}  // namespace
}  // namespace boreal::stories
