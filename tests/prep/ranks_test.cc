// Prep over ranks: the same bytes from any number of them, in any order, with any of them lost.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <mutex>
#include <thread>

#include "prep/work_list.h"
#include "tests/prep/prep_fixture.h"

namespace boreal::prep {
namespace {

using corpus::message_of;
using testing::AllOf;
using testing::HasSubstr;
using Files = std::map<std::string, std::string>;

// Kills its process at a change, as a lost machine or a scheduler would.
class KillingEnv final : public FailingEnv {
 public:
  Result<std::unique_ptr<FileWriter>> create(const std::string& p) override {
    strike();
    return FailingEnv::create(p);
  }
  Status rename(const std::string& from, const std::string& to) override {
    strike();
    return FailingEnv::rename(from, to);
  }
  int changes_before_kill = 0;

 private:
  void strike() {
    if (changes_before_kill-- == 0) ::raise(SIGKILL);
  }
};

// A file system that carries no locks between hosts: everybody gets every lock.
class LocklessEnv final : public FailingEnv {
 public:
  Result<std::unique_ptr<FileLock>> lock(const std::string& /*path*/) override {
    return std::make_unique<FileLock>();
  }
};

class PrepRanks : public PrepFixture {
 protected:
  void SetUp() override {
    PrepFixture::SetUp();
    folder = join_path(dir, "ranks");
    add_table("planets.csv", planets(30));
    add_table("tools.csv", "name,age,size\nsaw,1,2\nfile,3,4\nplane,5,6\nchisel,7,8\n");
    add_table("moons.tsv", "name\tmass (kg)\nIo\t3\nEuropa\t4\nTitan\t5\n");
    std::string lines;
    for (int i = 0; i < 40; ++i)
      lines += "{\"text\": \"Document " + std::to_string(i % 30) + " says little.\"}\n";
    for (const std::string name : {"first", "second"}) {
      file(name + ".jsonl", lines);
      spec.data.sources.emplace_back().jsonl = name + ".jsonl";
      lines += "{\"text\": \"The second says one thing more.\"}\n{\"text\": \"And another.\"}\n";
    }
    spec.data.sources.emplace_back().synthetic = true;
    expected = contents(out, prepared(out));
    EXPECT_EQ(expected.count("shards/second/train.bin"), 1U);
  }

  Result<PrepSummary> run_rank(Env& with, std::int64_t rank, std::int64_t ranks) {
    return run(with, spec, folder, {}, {.rank = rank, .ranks = ranks, .wait_s = 60});
  }

  // Each rank in a thread of its own; their results by rank.
  std::vector<Result<PrepSummary>> run_threads(std::int64_t ranks) {
    std::vector<Result<PrepSummary>> results(static_cast<std::size_t>(ranks), failed("not run"));
    std::vector<std::thread> threads;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        FailingEnv unfailing;
        results[static_cast<std::size_t>(rank)] = run_rank(unfailing, rank, ranks);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return results;
  }

  // A process of its own, killed at its n-th change; false if it ended before.
  bool killed_process(std::int64_t rank, std::int64_t ranks, int changes) {
    const pid_t child = ::fork();
    if (child == 0) {
      KillingEnv killing;
      killing.changes_before_kill = changes;
      ::_exit(run_rank(killing, rank, ranks).ok() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
  }

  void expect_whole() {
    const auto summary = read_summary(env, folder);
    ASSERT_TRUE(summary.ok()) << summary.error().message;
    const Files now = contents(folder, *summary);
    ASSERT_EQ(now.size(), expected.size());
    for (const auto& [name, content] : expected) EXPECT_EQ(now.at(name), content) << name;
    for (const char* scratch : {"prep/units", "prep/claims", "prep/partial"})
      EXPECT_FALSE(env.exists(join_path(folder, scratch))) << scratch;
  }

  void begin_anew() { ASSERT_TRUE(env.remove_all(folder).ok()); }

  std::string folder;
  Files expected;  // what a lone prep writes
};

TEST_F(PrepRanks, AnyNumberOfRanksWritesTheBytesOfOne) {
  for (const std::int64_t ranks : {2, 3, 5, 9}) {
    begin_anew();
    for (const auto& result : run_threads(ranks)) {
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(to_json(*result), expected.at("prep.json"));
    }
    expect_whole();
  }
}

TEST_F(PrepRanks, RanksSoonAtWorkMakeEachUnitOnce) {
  std::mutex mutex;
  std::map<std::string, int> made;
  const OnProgress count = [&](const Progress& at) {
    const std::scoped_lock hold(mutex);
    if (at.stage != "read") ++made[at.stage + " " + at.source];
  };
  std::vector<std::thread> threads;
  for (std::int64_t rank = 0; rank < 4; ++rank) {
    threads.emplace_back(
        [&, rank] { EXPECT_TRUE(run(env, spec, folder, count, {.rank = rank, .ranks = 4}).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  expect_whole();
  EXPECT_EQ(made.size(), 5U + 6U + 3U);  // words of five sources, shards of six, items of three
  for (const auto& [unit, times] : made) EXPECT_EQ(times, 1) << unit;
}

TEST_F(PrepRanks, OwnersAreSpreadByTheHashOfTheName) {
  std::map<std::int64_t, int> units;
  for (int i = 0; i < 1000; ++i) ++units[owner_of("source_" + std::to_string(i), 4)];
  ASSERT_EQ(units.size(), 4U);
  for (const auto& [rank, owned] : units) EXPECT_NEAR(owned, 250, 60) << rank;
}

TEST_F(PrepRanks, RanksOneAfterTheOtherInAnyOrderWriteTheBytesOfOne) {
  for (const std::vector<std::int64_t>& order :
       {std::vector<std::int64_t>{0, 1, 2}, {2, 1, 0}, {1, 2, 0}}) {
    begin_anew();
    for (const std::int64_t rank : order) {
      const auto result = run_rank(env, rank, 3);
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(result->skipped, rank != order.front());
      expect_whole();
    }
  }
}

TEST_F(PrepRanks, ARankThatIsKilledAnywhereIsCompletedByAnyNumberOfRanks) {
  int changes = 0;
  for (std::int64_t ranks = 1; changes < 200; ranks = ranks % 3 + 1, changes += 7) {
    begin_anew();
    if (!killed_process(1, 2, changes)) break;
    EXPECT_FALSE(env.exists(join_path(folder, "prep.json"))) << changes;
    for (const auto& result : run_threads(ranks))
      EXPECT_TRUE(result.ok()) << changes << ": " << result.error().message;
    expect_whole();
  }
  EXPECT_GT(changes, 60);
}

TEST_F(PrepRanks, ARankThatIsLostWhileOthersWorkCostsThemNothing) {
  for (const int changes : {0, 9, 20, 35}) {
    begin_anew();
    const pid_t other = ::fork();
    if (other == 0) ::_exit(run_rank(env, 0, 3).ok() ? 0 : 1);
    killed_process(1, 3, changes);
    int status = 0;
    ASSERT_EQ(::waitpid(other, &status, 0), other);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << changes;
    expect_whole();
  }
}

TEST_F(PrepRanks, ARankWhoseDiskIsFullStopsAndTheOthersGoOn) {
  FailingEnv full;
  full.changes_left = 30;
  EXPECT_THAT(message_of(run_rank(full, 0, 2), ErrorKind::failed), HasSubstr("no space left"));
  const auto result = run_rank(env, 1, 2);
  ASSERT_TRUE(result.ok()) << result.error().message;
  expect_whole();
}

TEST_F(PrepRanks, WithoutLocksRanksMayDisturbOneAnotherAndTheNextRunIsWhole) {
  for (int round = 0; round < 10; ++round) {
    begin_anew();
    std::vector<std::thread> threads;
    for (std::int64_t rank = 0; rank < 3; ++rank) {
      threads.emplace_back([&, rank] {
        LocklessEnv lockless;
        const auto result = run_rank(lockless, rank, 3);
        EXPECT_TRUE(result.ok() || result.error().kind == ErrorKind::failed)
            << result.error().message;
      });
    }
    for (std::thread& thread : threads) thread.join();
    LocklessEnv lockless;
    const auto result = run_rank(lockless, 0, 2);
    ASSERT_TRUE(result.ok()) << result.error().message;
    expect_whole();
  }
}

TEST_F(PrepRanks, WhatARankToldAndIsDamagedOrCutIsMadeAgain) {
  for (const bool cut : {true, false}) {
    for (const char* unit : {"words/tools", "texts/first", "shards/planets", "eval/moons"}) {
      begin_anew();
      // Killed before the summary: all that ranks tell one another is there.
      const std::string path = join_path(folder, std::string("prep/units/") + unit);
      for (int changes = 10; !env.exists(path); ++changes) {
        ASSERT_LT(changes, 300) << unit;
        ASSERT_TRUE(killed_process(1, 2, changes)) << unit;
      }
      std::string content = env.read_file(path).value();
      if (cut) {
        content.resize(content.size() / 2);
      } else {
        content[content.size() / 2] ^= 1;
      }
      ASSERT_TRUE(env.write_file(path, content).ok());
      for (const auto& result : run_threads(2)) ASSERT_TRUE(result.ok()) << result.error().message;
      expect_whole();
    }
  }
}

TEST_F(PrepRanks, ALostOrCutFileIsMadeAgainByRanks) {
  for (const auto& result : run_threads(2)) ASSERT_TRUE(result.ok());
  for (const char* victim : {"shards/first/train.bin", "tokenizer/tokenizer.json",
                             "eval/choice.jsonl", "facts.csv", "prep.json"}) {
    ASSERT_TRUE(env.truncate(join_path(folder, victim), 10).ok());
    for (const auto& result : run_threads(3))
      ASSERT_TRUE(result.ok()) << victim << ": " << result.error().message;
    expect_whole();
  }
}

TEST_F(PrepRanks, ARefusedInputIsToldByEveryRankInTheSameWords) {
  file("second.jsonl", "{\"text\": \"fine\"}\n{\"text\": 7}\n");
  const std::string alone = message_of(run_rank(env, 0, 1), ErrorKind::refused);
  EXPECT_THAT(alone, HasSubstr("second.jsonl"));
  begin_anew();
  for (const auto& result : run_threads(3))
    EXPECT_EQ(message_of(result, ErrorKind::refused), alone);
  EXPECT_FALSE(env.exists(join_path(folder, "shards")));
  // All that the second says, the first said.
  file("second.jsonl", "{\"text\": \"Document 1 says little.\"}\n");
  for (const auto& result : run_threads(3)) {
    EXPECT_THAT(message_of(result, ErrorKind::refused),
                AllOf(HasSubstr("no training document is left"), HasSubstr("exact duplicate: 1")));
  }
  EXPECT_FALSE(env.exists(join_path(folder, "prep.json")));
}

TEST_F(PrepRanks, ARankThatIsThereTwiceAndALonePrepBesideRanksAreRefused) {
  ASSERT_TRUE(run_rank(env, 1, 2).ok());
  const auto place = env.lock(join_path(folder, "prep/ranks/1"));
  ASSERT_TRUE(place.ok());
  EXPECT_THAT(message_of(run_rank(env, 1, 2), ErrorKind::failed),
              HasSubstr("rank 1 of another prep works in"));
  EXPECT_TRUE(run_rank(env, 0, 2).ok());
  EXPECT_THAT(message_of(run_rank(env, 0, 1), ErrorKind::failed),
              AllOf(HasSubstr("another prep works in"), HasSubstr("prep/ranks")));
  spec.seed = 9;
  EXPECT_THAT(message_of(run_rank(env, 0, 2), ErrorKind::failed),
              AllOf(HasSubstr("another prep works in"), HasSubstr("prep/ranks")));
  expect_whole();
}

TEST_F(PrepRanks, AFolderThatALonePrepHoldsIsRefusedToAnotherAndToRanks) {
  ASSERT_TRUE(env.make_dirs(join_path(folder, "prep")).ok());
  const auto lock = env.lock(join_path(folder, "prep/lock"));
  ASSERT_TRUE(lock.ok());
  for (const std::int64_t ranks : {1, 2}) {
    const PrepOptions options{.rank = ranks - 1, .ranks = ranks, .wait_s = 0.05};
    EXPECT_THAT(message_of(run(env, spec, folder, {}, options), ErrorKind::failed),
                HasSubstr("another prep works in"));
  }
}

TEST_F(PrepRanks, AnotherSpecBeginsAnewWhateverTheRanksBefore) {
  spec.seed = 9;
  for (const auto& result : run_threads(3)) ASSERT_TRUE(result.ok());
  spec.seed = 1;
  ASSERT_TRUE(killed_process(1, 2, 40));
  spec.seed = 9;
  ASSERT_TRUE(killed_process(0, 3, 30));
  spec.seed = 1;
  for (const auto& result : run_threads(2)) ASSERT_TRUE(result.ok());
  expect_whole();
}

TEST_F(PrepRanks, AUnitThatHangsInOtherHandsIsNamedWithItsRankAndItsFile) {
  ASSERT_TRUE(env.make_dirs(join_path(folder, "prep/claims/words")).ok());
  const auto claim = env.lock(join_path(folder, "prep/claims/words/tools"));
  ASSERT_TRUE(claim.ok());
  const auto result = run(env, spec, folder, {}, {.rank = 0, .ranks = 2, .wait_s = 0.05});
  EXPECT_EQ(exit_code(result.error().kind), 75);
  EXPECT_THAT(
      message_of(result, ErrorKind::try_again),
      AllOf(HasSubstr("words of 'tools'"),
            HasSubstr(fmt::format("rank {} of 2", owner_of("tools", 2))),
            HasSubstr("prep/claims/words/tools"), HasSubstr("prep/units/words/tools is missing"),
            HasSubstr("run the same command again")));
}

TEST_F(PrepRanks, ANamedTokenizerIsCopiedOnceByRanks) {
  spec.data.tokenizer = join_path(out, "tokenizer/tokenizer.json");
  const std::string alone = join_path(dir, "alone");
  expected = contents(alone, prepared(alone));
  for (const auto& result : run_threads(3)) ASSERT_TRUE(result.ok()) << result.error().message;
  expect_whole();
}

}  // namespace
}  // namespace boreal::prep
