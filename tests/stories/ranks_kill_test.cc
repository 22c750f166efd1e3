// Jobs of several processes that are killed or stopped: what they leave is gone on from to the bits
// of an unbroken job, and what is stuck comes to an end that names who is to blame.
#include <signal.h>

#include <array>
#include <chrono>
#include <set>

#include "base/philox.h"
#include "tests/stories/ranks.h"

namespace boreal::stories {
namespace {

constexpr Ranks kPair = {.count = 2, .mpi = true, .shard = 2};

class RanksKilled : public RanksStory {
 protected:
  // One rank, the launcher, or all of the job at once.
  enum class Victim : std::uint8_t { rank, launcher, all };

  void kill(const Program& program, Victim victim, std::int64_t rank) {
    const auto ranks = rank_processes();
    if (victim != Victim::rank) program.send(SIGKILL);
    for (const auto& [each, pid] : ranks)
      if (victim == Victim::all || (victim == Victim::rank && each == rank)) ::kill(pid, SIGKILL);
  }
};

TEST_F(RanksKilled, TenKillsAtRandomMomentsSomeInsideASaveLeaveTheResultOfAnUnbrokenJob) {
  NEEDS_MPIRUN();
  trained_on(kPair, "unbroken");
  const Rng rng(20, "kills of jobs");
  // Odd in number, so that each comes inside saves and outside of them.
  constexpr std::array kVictims = {Victim::all, Victim::rank, Victim::all, Victim::launcher,
                                   Victim::all};
  std::set<std::string> outs;
  int kills = 0;
  int inside_saves = 0;
  for (std::uint64_t life = 0; life < 40 && (kills < 10 || inside_saves < 3); ++life) {
    // A job that ended before its kill is a finished one; the next kills go to a new one.
    const std::string out = fmt::format("killed_{}", outs.size());
    const auto target =
        rows_written(out) + 1 +
        static_cast<std::int64_t>(rng.uniform(life) * static_cast<double>(steps) / 6);
    set_grace(static_cast<int>(life % 2));
    const auto program = start_on(kPair, train_line(out));
    const bool there = program->wait_until(
        [&] { return rows_written(out) >= target && (life % 2 == 0 || saving(out)); });
    kill(*program, kVictims[life % kVictims.size()], static_cast<std::int64_t>(life / 5 % 2));
    const Outcome outcome = program->wait();
    ASSERT_TRUE(all_gone()) << "a rank lives on without its job";
    if (!there || outcome.code == 0) {
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
    trained_on(kPair, out);
    EXPECT_EQ(leftovers(out), std::vector<std::string>{});
    expect_same_run(out, "unbroken");
    expect_same_files(last_checkpoint(out), last_checkpoint("unbroken"));
  }
}

TEST_F(RanksKilled, AWorldOfThreadsThatIsKilledEndsWithTheBitsOfAnUnbrokenOne) {
  constexpr Ranks kThreads = {.count = 4, .shard = 2, .tp = 2};
  trained_on(kThreads, "unbroken");
  for (const std::int64_t rows : {3, 20, 50}) {
    const auto program = start_on(kThreads, train_line("out"));
    ASSERT_TRUE(program->wait_until([&] { return rows_written("out") >= rows; }));
    program->send(SIGKILL);
    EXPECT_EQ(program->wait().signal, SIGKILL);
  }
  trained_on(kThreads, "out");
  expect_same_run("out", "unbroken");
  EXPECT_EQ(leftovers("out"), std::vector<std::string>{});
}

TEST_F(RanksKilled, AStoppedRankEndsTheJobWithinTheLimitAndIsNamedWithItsPlaceAndStep) {
  NEEDS_MPIRUN();
  constexpr double kLimitS = 2;
  for (const std::int64_t rank : {1, 0}) {
    const std::string out = fmt::format("out_{}", rank);
    const auto program =
        start_on(kPair, train_line(out, {"--set", "train.steps=1000000", "--set",
                                         fmt::format("dist.time_limit_s={}", kLimitS)}));
    ASSERT_TRUE(program->wait_until([&] { return rows_written(out) >= 20; }));
    const auto ranks = rank_processes();
    ASSERT_EQ(ranks.size(), 2U);
    const auto begin = std::chrono::steady_clock::now();
    ::kill(ranks.at(rank), SIGSTOP);
    const Outcome outcome = program->wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_GT(took.count(), kLimitS - 0.5);
    EXPECT_LT(took.count(), kLimitS + 5);
    EXPECT_TRUE(all_gone()) << "a process is left behind";
    expect_error(
        outcome, 1,
        {fmt::format("rank {} of 2 (dp_shard {}), step ", 1 - rank, 1 - rank),
         fmt::format("rank {} (dp_shard {}), step ", rank, rank), "has shown no sign of life for"});
    expect_said_once(outcome.err);
  }
  // What was saved before is gone on from.
  const std::int64_t before = rows_written("out_0");
  const auto again = start_on(kPair, train_line("out_0", {"--set", "train.steps=1000000"}));
  ASSERT_TRUE(again->wait_until([&] { return rows_written("out_0") > before + 7; }));
  again->send(SIGUSR1);
  EXPECT_EQ(again->wait().code, 75);
}

}  // namespace
}  // namespace boreal::stories
