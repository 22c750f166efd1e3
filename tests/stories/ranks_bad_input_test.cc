// Wrong input to many ranks: one of them says so, once, with the right code, nobody hangs, and
// nothing is half-written.
#include <signal.h>
#include <sys/resource.h>

#include "tests/stories/ranks.h"

namespace boreal::stories {
namespace {

using testing::HasSubstr;

constexpr Ranks kThreadPair = {.count = 2, .shard = 2};
constexpr Ranks kPair = {.count = 2, .mpi = true, .shard = 2};

class RanksBadInput : public RanksStory {
 protected:
  void expect_no_run(const Ranks& ranks, const std::vector<std::string>& more,
                     const std::vector<std::string>& texts) {
    const Outcome outcome = run_on(ranks, train_line("out", more));
    expect_one_error(outcome, 2, texts);
    EXPECT_FALSE(env.exists(path("out"))) << outcome.err;
  }
};

TEST_F(RanksBadInput, AMeshThatTheRanksTheBatchOrTheModelDoNotFitIsRefusedBeforeAFolderIsMade) {
  expect_no_run({.count = 4, .shard = 2}, {}, {"dp_shard 2 = 2 ranks", "the world has 4"});
  expect_no_run({.count = 3, .shard = 3}, {}, {"train.batch_sequences is 4", "1 x 3", "divide"});
  expect_no_run({.count = 4, .tp = 4}, {}, {"mesh.tp is 4", "model.heads (2)"});
  expect_no_run(
      {.count = 6, .tp = 6},
      {"--set", "model.heads=12", "--set", "model.hidden=96", "--set", "model.kv_heads=4"},
      {"mesh.tp is 6", "model.kv_heads (4)"});
  expect_no_run({.count = 2, .tp = 2}, {"--set", "model.ffn=63"}, {"mesh.tp", "model.ffn (63)"});
  expect_no_run({.count = 2}, {}, {"one rank", "the world has 2", "dp_shard 2"});
}

TEST_F(RanksBadInput, AWorldThatIsNotKnownOrDoesNotFitTheLaunchIsRefused) {
  for (const char* world : {"mpl", "threads:0", "threads:", "threads:two", "threads:9999"}) {
    const Outcome outcome = train("out", {"--world", world});
    expect_one_error(outcome, 2, {world, "threads"});
  }
  // A world of MPI that nobody launched is one rank.
  NEEDS_MPIRUN();
  expect_one_error(train("out", {"--world", "mpi", "--set", "mesh.tp=2"}), 2,
                   {"tp 2 = 2 ranks", "the world has 1"});
  const Outcome forgotten =
      start(train_line("out", {"--set", "mesh.dp_shard=2"}), mpirun(2))->wait();
  expect_one_error(forgotten, 2, {"one of 2", "the world is single", "--world mpi"});
  EXPECT_FALSE(env.exists(path("out")));
}

TEST_F(RanksBadInput, AWidthThatTheFamilyChoosesIsCheckedAsOneThatTheSpecNames) {
  expect_no_run({.count = 3, .tp = 3},
                {"--set", "model.hidden=96", "--set", "model.heads=6", "--set", "model.ffn=0",
                 "--set", "data.sequence=30"},
                {"mesh.tp is 3", "model.ffn (256)"});
}

TEST_F(RanksBadInput, AVerbThatRunsAloneIsRefusedUnderALauncherOfSeveral) {
  NEEDS_MPIRUN();
  auto dry = train_line("out");
  dry.emplace_back("--dry-run");
  for (const std::vector<std::string>& line :
       {dry, {"export", "--checkpoint", "out", "--to", "hf"}, {"machine"}}) {
    const Outcome outcome = start(line, mpirun(2))->wait();
    expect_error(outcome, 2, {line[0], "one process", "one of 2"});
  }
  EXPECT_FALSE(env.exists(path("out")));
}

TEST_F(RanksBadInput, WhatRanksOfOneMachineNeedIsSaidOfAllOfThem) {
  const Outcome outcome =
      run({"plan", "tiny.yaml", "--world", "threads:4", "--set", "mesh.dp_shard=4"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("of rank 0 of 4"));
  EXPECT_THAT(outcome.out, HasSubstr("4 of the 4 ranks"));
}

TEST_F(RanksBadInput, OfManyProcessesOneSpeaks) {
  NEEDS_MPIRUN();
  expect_no_run({.count = 4, .mpi = true, .shard = 2}, {}, {"dp_shard 2 = 2 ranks", "has 4"});
  expect_no_run({.count = 2, .mpi = true}, {"--set", "optim.lrr=1"}, {"optim.lrr", "optim.lr"});
  file("stones.csv", "name,mass\nIra,1\nOra,2,3\n");
  expect_one_error(run_on(kPair, train_line("out")), 3, {"stones.csv:3", "3 cells"});
  for (const char* made : {"out/shards", "out/tokenizer", "out/checkpoints", "out/prep.json"})
    EXPECT_FALSE(env.exists(path(made))) << made;
  EXPECT_EQ(leftovers("out"), std::vector<std::string>{});
}

TEST_F(RanksBadInput,
       ACheckpointThatLacksTheFileOfOneRankIsRefusedWhereNamedAndPassedOverWhereNot) {
  const std::vector<std::string> line = {"--set", "train.steps=28"};
  trained_on(kThreadPair, "whole", line);
  trained_on(kThreadPair, "out", line);
  const std::string newest = "out/checkpoints/step-28";
  ASSERT_TRUE(env.remove_all(path(newest + "/rank-1.bin")).ok());
  auto named = train_line("out", line);
  named.insert(named.end(), {"--resume", newest});
  expect_one_error(run_on(kThreadPair, named), 3, {newest + "/rank-1.bin"});
  if (has_mpirun()) expect_one_error(run_on(kPair, named), 3, {newest + "/rank-1.bin"});
  expect_error(run({"export", "--checkpoint", newest, "--to", "hf"}), 3, {newest + "/rank-1.bin"});
  const Outcome passed = run_on(has_mpirun() ? kPair : kThreadPair, train_line("out", line));
  expect_error(passed, 0, {"warning: the checkpoint of step 28 is damaged", "step-28/rank-1.bin"});
  expect_said_once(passed.err);
  expect_same_run("out", "whole");
}

TEST_F(RanksBadInput, ASecondJobOnOneOutIsToldWhoHoldsItHoweverManyRanksEachHas) {
  NEEDS_MPIRUN();
  const std::vector<std::string> longer = {"--set", "train.steps=1000000"};
  const auto holder = start_on(kPair, train_line("out", longer));
  ASSERT_TRUE(holder->wait_until([&] { return rows_written("out") > 0; }));
  const std::string who = fmt::format("process {} ", rank_processes().at(0));
  for (const Ranks& second : {Ranks{}, kThreadPair, kPair})
    expect_one_error(run_on(second, train_line("out", longer)), 1, {"out is in use", who});
  EXPECT_FALSE(holder->ended());
  holder->send(SIGUSR1);
  EXPECT_EQ(holder->wait().code, 75);
}

TEST_F(RanksBadInput, ADiskThatTakesNoMoreOfOneRankEndsAllAndLeavesTheCheckpointsBefore) {
  NEEDS_MPIRUN();
  struct Way {
    std::int64_t rank;
    const char* file;  // that can grow no more
  };
  for (const Way& way : {Way{1, "rank-1.bin"}, {0, "metrics.jsonl"}}) {
    const std::vector<std::string> longer = {"--set", "train.steps=1000000"};
    const std::string out = fmt::format("out_{}", way.rank);
    const auto program = start_on(kPair, train_line(out, longer));
    ASSERT_TRUE(program->wait_until([&] { return !checkpoints(out).empty(); }));
    const rlimit limit{1000, RLIM_INFINITY};
    ASSERT_EQ(::prlimit(rank_processes().at(way.rank), RLIMIT_FSIZE, &limit, nullptr), 0);
    const Outcome outcome = program->wait();
    expect_error(outcome, 1, {way.file, "File too large"});
    expect_said_once(outcome.err);
    EXPECT_TRUE(all_gone());
    EXPECT_FALSE(saving(out));
    expect_error(run({"export", "--checkpoint", last_checkpoint(out), "--to", "hf_" + out}), 0, {});
    EXPECT_EQ(leftovers(out), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace boreal::stories
