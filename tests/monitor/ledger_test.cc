#include "monitor/ledger.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/monitor/folder.h"

namespace boreal::monitor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Ledger : public FolderTest {
 protected:
  Result<RunLedger> open(const std::string& hash = "aaaa", const std::string& yaml = "",
                         std::map<std::string, std::string> facts = {}) {
    return RunLedger::open(env, clock, out(),
                           {.spec_hash = hash, .resolved_yaml = yaml, .facts = std::move(facts)});
  }
  // By the spec of hash aaaa.
  void finish_a_stage(const std::string& yaml) {
    auto ledger = open("aaaa", yaml);
    ASSERT_TRUE(ledger.ok()) << ledger.error().message;
    ASSERT_TRUE(ledger->begin("prep", "h1").ok());
    ASSERT_TRUE(ledger->finish("prep").ok());
  }
  std::string out() const { return join_path(dir, "out"); }
  std::string run_json() { return env.read_file(join_path(out(), "run.json")).value(); }
  ManualClock clock;
};

TEST_F(Ledger, FinishedStagesAreKnownToTheNextRunAndOnlyThose) {
  {
    auto ledger = open();
    ASSERT_TRUE(ledger.ok()) << ledger.error().message;
    ASSERT_TRUE(ledger->begin("prep", "h1").ok());
    clock.advance(12.5);
    ASSERT_TRUE(ledger->finish("prep").ok());
    ASSERT_TRUE(ledger->begin("train", "h2").ok());
    clock.advance(100);
  }
  auto ledger = open();
  ASSERT_TRUE(ledger.ok()) << ledger.error().message;
  EXPECT_TRUE(ledger->is_done("prep", "h1"));
  EXPECT_FALSE(ledger->is_done("prep", "other input"));
  EXPECT_FALSE(ledger->is_done("train", "h2")) << "begun, not finished";
  EXPECT_FALSE(ledger->is_done("eval", "h3"));
  ASSERT_EQ(ledger->stages().size(), 2U);
  EXPECT_EQ(ledger->stages()[0].wall_s, 12.5);
  EXPECT_EQ(ledger->stages()[1].start_s, 1.7e9 + 12.5);
  ASSERT_TRUE(ledger->begin("train", "h2").ok());
  EXPECT_EQ(ledger->stages()[1].attempts, 2);
}

TEST_F(Ledger, AStageBegunAgainIsNotDone) {
  auto ledger = open();
  ASSERT_TRUE(ledger->begin("prep", "h1").ok());
  ASSERT_TRUE(ledger->finish("prep").ok());
  ASSERT_TRUE(ledger->begin("prep", "h2").ok());
  EXPECT_FALSE(ledger->is_done("prep", "h1"));
  EXPECT_FALSE(ledger->is_done("prep", "h2"));
  ASSERT_TRUE(ledger->finish("prep").ok());
  EXPECT_TRUE(ledger->is_done("prep", "h2"));
  EXPECT_EQ(ledger->stages()[0].attempts, 1) << "of this input";
}

TEST_F(Ledger, AHeldFolderIsRefusedWithPidHostAndTime) {
  const auto holder = open();
  ASSERT_TRUE(holder.ok());
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(exit_code(second.error().kind), 1);
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
  EXPECT_EQ(second.error().message,
            fmt::format("{} is in use by process {} on host {} since 2023-11-14T22:13:20Z", out(),
                        ::getpid(), host));
}

TEST_F(Ledger, AFolderHeldByAnotherProcessIsFreeOnceThatProcessIsKilled) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = open();
    const char state = held.ok() ? 'y' : 'n';
    if (::write(ready[1], &state, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char state = 0;
  ASSERT_EQ(::read(ready[0], &state, 1), 1);
  ASSERT_EQ(state, 'y');
  const auto refused_open = open();
  ASSERT_FALSE(refused_open.ok());
  EXPECT_THAT(refused_open.error().message, HasSubstr(fmt::format("process {} ", child)));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(open().ok());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Ledger, AFolderThatSomebodyElseFilledIsRefusedAndLeftAsItIs) {
  for (const char* name : {"facts.csv", "resolved.yaml", "b", "a"})
    put(join_path(dir, name), "not ours\n");
  const auto refused =
      RunLedger::open(env, clock, dir, {.spec_hash = "aaaa", .resolved_yaml = "seed: 1\n"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(exit_code(refused.error().kind), 3);
  EXPECT_EQ(refused.error().message,
            dir +
                " is not empty and no boreal output folder (it has no run.json; it holds a, b, "
                "facts.csv and 1 more): give another --out");
  EXPECT_EQ(env.list_dir(dir).value().size(), 4U);
  EXPECT_EQ(env.read_file(join_path(dir, "resolved.yaml")).value(), "not ours\n");
}

TEST_F(Ledger, AFolderThatAKilledRunOnlyBeganIsTakenAsIsAnEmptyOne) {
  ASSERT_TRUE(env.make_dirs(out()).ok());
  EXPECT_TRUE(open().ok());
  ASSERT_TRUE(env.remove_all(join_path(out(), "run.json")).ok());
  put(join_path(out(), "run.json.tmp"), "{");
  EXPECT_TRUE(open().ok()) << "the lock and half a run.json";
}

TEST_F(Ledger, AnotherSpecTakesAFolderInWhichNothingWasFinished) {
  {
    auto ledger = open("aaaa", "seed: 1\n", {{"isa", "avx2"}});
    ASSERT_TRUE(ledger->begin("prep", "h1").ok());
  }
  auto ledger = open("bbbb", "seed: 2\n", {{"isa", "avx512"}});
  ASSERT_TRUE(ledger.ok()) << ledger.error().message;
  EXPECT_TRUE(ledger->stages().empty());
  EXPECT_TRUE(ledger->changed_facts().empty());
  EXPECT_EQ(env.read_file(join_path(out(), "resolved.yaml")).value(), "seed: 2\n");
  EXPECT_THAT(run_json(), HasSubstr("bbbb"));
}

TEST_F(Ledger, AnotherSpecIsRefusedWhereACheckpointIsThoughNoStageIsDone) {
  { ASSERT_TRUE(open("aaaa").ok()); }
  ASSERT_TRUE(env.make_dirs(join_path(out(), "checkpoints/step-7")).ok());
  EXPECT_THAT(open("bbbb").error().message, HasSubstr("another spec"));
  EXPECT_TRUE(open("aaaa").ok());
}

TEST_F(Ledger, AStagesTimeIsTheSumAndItsMemoryTheLargestOfItsAttempts) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 60;
  {
    auto ledger = open();
    ASSERT_TRUE(ledger->begin("train", "h1").ok());
    clock.advance(10);  // ends with an error
  }
  {
    auto ledger = open();
    ASSERT_TRUE(ledger->begin("train", "h1").ok());
    clock.advance(5);
    ASSERT_TRUE(ledger->finish("train").ok());
    EXPECT_EQ(ledger->stages()[0].wall_s, 15);
    EXPECT_EQ(ledger->stages()[0].attempts, 2);
    EXPECT_GT(ledger->stages()[0].peak_rss_bytes, 1 << 20);
    EXPECT_EQ(ledger->peak_rss_bytes(), ledger->stages()[0].peak_rss_bytes);
  }
  std::string json = run_json();
  const std::string key = "\"peak_rss_bytes\": ";
  const std::size_t at = json.find(key) + key.size();
  put(join_path(out(), "run.json"),
      json.replace(at, json.find(',', at) - at, std::to_string(kHuge)));
  auto ledger = open();
  ASSERT_TRUE(ledger->begin("train", "h1").ok());
  clock.advance(1);
  ASSERT_TRUE(ledger->finish("train").ok());
  EXPECT_EQ(ledger->stages()[0].wall_s, 16);
  EXPECT_EQ(ledger->peak_rss_bytes(), kHuge);
  ASSERT_TRUE(ledger->begin("train", "h2").ok());
  ASSERT_TRUE(ledger->finish("train").ok());
  EXPECT_EQ(ledger->stages()[0].wall_s, 0) << "of this input";
  EXPECT_LT(ledger->peak_rss_bytes(), kHuge);
}

TEST_F(Ledger, AnAttemptThatFindsItsStageDoneChangesNothing) {
  {
    auto ledger = open();
    ASSERT_TRUE(ledger->begin("prep", "h1").ok());
    clock.advance(8);
    ASSERT_TRUE(ledger->finish("prep").ok());
    ASSERT_TRUE(ledger->found_done("prep").ok());
    EXPECT_EQ(ledger->stages()[0].wall_s, 8) << "a first attempt counts";
  }
  const std::string before = run_json();
  auto ledger = open();
  clock.advance(100);
  ASSERT_TRUE(ledger->begin("prep", "h1").ok());
  clock.advance(0.25);
  ASSERT_TRUE(ledger->finish("prep").ok());
  ASSERT_TRUE(ledger->found_done("prep").ok());
  EXPECT_EQ(run_json(), before);
}

TEST_F(Ledger, AnotherSpecsFolderIsRefusedWithBothHashesAndTheKeysThatDiffer) {
  ASSERT_NO_FATAL_FAILURE(finish_a_stage("train:\n  steps: 100\nseed: 1\n"));
  const std::string before = run_json();
  const auto other =
      open("bbbb", "train:\n  steps: 200\nseed: 1\neval:\n  prompts: [does not count]\n");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(exit_code(other.error().kind), 3);
  EXPECT_EQ(other.error().message,
            out() +
                " was written by another spec: its hash is aaaa, this spec's is bbbb\n"
                "  train.steps: 200, was 100\n"
                "Give another --out, or remove that folder.");
  EXPECT_EQ(run_json(), before);
  EXPECT_EQ(env.read_file(join_path(out(), "resolved.yaml")).value(),
            "train:\n  steps: 100\nseed: 1\n");
}

TEST_F(Ledger, ManyDifferencesAreCountedNotListed) {
  std::string now;
  std::string was;
  for (int i = 10; i < 40; ++i) {
    now += fmt::format("key{}: 1\n", i);
    was += fmt::format("key{}: 2\n", i);
  }
  ASSERT_NO_FATAL_FAILURE(finish_a_stage(was));
  const auto other = open("bbbb", now);
  EXPECT_THAT(other.error().message, HasSubstr("key21: 1, was 2\n  and 18 more\n"));
}

TEST_F(Ledger, ADamagedRecordIsRefusedByName) {
  ASSERT_TRUE(open().ok());
  const std::string whole = run_json();
  const std::string path = join_path(out(), "run.json");
  for (std::size_t size = 0; size + 2 < whole.size(); ++size) {
    put(path, whole.substr(0, size));
    const auto ledger = open();
    ASSERT_FALSE(ledger.ok()) << size;
    ASSERT_THAT(ledger.error().message, HasSubstr("run.json is damaged"));
    ASSERT_EQ(exit_code(ledger.error().kind), 3);
  }
  ASSERT_TRUE(env.write_file(path, R"({"format":2})").ok());
  EXPECT_THAT(open().error().message, HasSubstr("format 2, this program reads format 1"));
  ASSERT_TRUE(env.write_file(path, R"({"format":1,"spec_hash":3})").ok());
  EXPECT_THAT(open().error().message, HasSubstr("run.json is damaged"));
}

TEST_F(Ledger, TellsWhatElseMayChangeTheResult) {
  ASSERT_TRUE(open("aaaa", "", {{"isa", "avx512"}, {"version", "0.1"}}).ok());
  const auto ledger = open("aaaa", "", {{"isa", "avx2"}, {"version", "0.1"}, {"new", "x"}});
  EXPECT_THAT(ledger->changed_facts(), ElementsAre("isa: avx2, was avx512"));
}

TEST(SpecDifference, FindsChangedAddedAndRemovedKeysInNestedListsAndMaps) {
  EXPECT_THAT(differing_keys("a: 1\nb:\n  - name: x\n    w: 1\n  - name: y\n",
                             "a: 1\nb:\n  - name: x\n    w: 2\nc: \"\"\n"),
              ElementsAre("b.0.w: 1, was 2", "b.1.name: y, was absent", "c: absent, was \"\""));
  EXPECT_TRUE(differing_keys("a: [1, 2]", "a:\n  - 1\n  - 2\n").empty());
  EXPECT_THAT(differing_keys("a: 1\nab: 1\nb: {a: 1}", "a: 2\nab: 2\nb: {a: 2}", {"a"}),
              ElementsAre("ab: 1, was 2", "b.a: 1, was 2"));
  EXPECT_THAT(differing_keys("a: [", "a: 1"), ElementsAre("(the new spec is no YAML)"));
}

}  // namespace
}  // namespace boreal::monitor
