// Wrong input: a message that names the place and both values, the right exit code, nothing
// half-written.
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

class BadInput : public Story {
 protected:
  // Trains on a table of this content; it must be refused before anything is made of it.
  void expect_table_refused(const std::string& csv, const std::vector<std::string>& texts) {
    file("stones.csv", csv);
    expect_error(train("out"), 3, texts);
    for (const char* made : {"out/shards", "out/tokenizer", "out/checkpoints", "out/prep.json"})
      EXPECT_FALSE(env.exists(path(made))) << made;
    EXPECT_EQ(leftovers("out"), std::vector<std::string>{});
  }

  void expect_spec_refused(const std::string& yaml, const std::vector<std::string>& texts) {
    file("tiny.yaml", yaml);
    expect_error(train("out"), 2, texts);
    EXPECT_FALSE(env.exists(path("out"))) << "a folder was made for a spec that is none";
  }

  // Prepared shards, and the line that trains on them as they stand.
  std::vector<std::string> on_shards() {
    trained("made", {"--set", "train.steps=2"});
    return {"--set", "data.sources=[{shards: made/shards/stones/train}]",
            "--set", "data.tokenizer=made/tokenizer/tokenizer.json",
            "--set", "train.steps=2"};
  }
};

TEST_F(BadInput, AnUnknownKeyIsNamedWithTheNearestOne) {
  expect_error(train("out", {"--set", "optim.lrr=1"}), 2, {"optim.lrr", "optim.lr"});
  expect_spec_refused("name: tiny\ntrain:\n  step: 4\n", {"tiny.yaml:3", "train.step", "steps"});
}

TEST_F(BadInput, ADuplicateKeyIsNamedWithBothLines) {
  expect_spec_refused("name: tiny\nseed: 1\nseed: 2\n", {"tiny.yaml:3", "\"seed\"", "line 2"});
}

TEST_F(BadInput, AWrongTypeIsNamedWithWhatWasExpected) {
  expect_error(train("out", {"--set", "data.document_mask=yes"}), 2, {"data.document_mask", "yes"});
  expect_spec_refused("name: tiny\ntrain:\n  steps: many\n",
                      {"tiny.yaml:3", "train.steps", "\"many\"", "whole number"});
}

TEST_F(BadInput, AWorldOrAMeshOfMoreRanksIsRefusedAndNotIgnored) {
  expect_error(train("out", {"--world", "threads:2"}), 2,
               {"one rank", "world has 2", "dp_shard 2"});
  expect_error(train("out", {"--set", "mesh.tp=2"}), 2, {"tp 2 = 2 ranks", "world has 1"});
  EXPECT_FALSE(env.exists(path("out")));
}

TEST_F(BadInput, AMissingTableIsNamedWithThePlacesWhereItWasLookedFor) {
  expect_error(train("out", {"--set", "data.sources=[{table: gone.csv}]"}), 3, {"gone.csv"});
  expect_error(run({"train", "gone.yaml"}), 2, {"gone.yaml"});
}

TEST_F(BadInput, AnEmptyTable) {
  expect_table_refused("name,mass\n", {"stones.csv", "empty table", "2 columns and 0 rows"});
  expect_table_refused("", {"stones.csv", "empty table", "header"});
}

TEST_F(BadInput, ARaggedRow) {
  expect_table_refused("name,mass\nIra,1\nOra,2,3\n",
                       {"stones.csv:3", "3 cells", "the header has 2"});
}

TEST_F(BadInput, BytesThatAreNoUtf8) {
  expect_table_refused("name,mass\nI\xff\xfera,1\n", {"stones.csv", "byte 11", "0xff", "UTF-8"});
}

TEST_F(BadInput, AShardCutOrReplaced) {
  const auto line = on_shards();
  const std::string stem = "made/shards/stones/train";
  const std::string bin = read(stem + ".bin");
  file(stem + ".bin", bin.substr(0, bin.size() - 2));
  expect_error(train("cut", line), 3,
               {stem + ".bin", std::to_string(bin.size()), std::to_string(bin.size() - 2)});
  file(stem + ".bin", bin);
  const std::string idx = read(stem + ".idx");
  file(stem + ".idx", read("made/shards/stones/valid.idx"));
  expect_error(train("swapped", line), 3, {stem + ".idx", std::to_string(idx.size())});
  file(stem + ".idx", idx);
  ASSERT_TRUE(env.remove_all(path(stem + ".meta.json")).ok());
  expect_error(train("without", line), 3, {stem + ".meta.json", "missing"});
  for (const char* out : {"cut", "swapped", "without"})
    EXPECT_FALSE(env.exists(path(std::string(out) + "/checkpoints"))) << out;
}

TEST_F(BadInput, AFlippedByteInAnyFileOfAShardIsFoundBeforeTraining) {
  const auto line = on_shards();
  for (const char* ending : {".bin", ".idx", ".loss", ".jsonl", ".meta.json"}) {
    const std::string name = std::string("made/shards/stones/train") + ending;
    const std::string whole = read(name);
    for (const std::size_t at : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
      flip(name, at, at % 2 == 0 ? 1 : 255);
      expect_error(train("out", line), 3, {"made/shards/stones/train"});
      file(name, whole);
    }
  }
  EXPECT_FALSE(env.exists(path("out/checkpoints")));
  trained("out", line);
}

TEST_F(BadInput, ATokenizerThatDoesNotMatchTheShards) {
  const auto line = on_shards();
  const std::string name = "made/tokenizer/tokenizer.json";
  std::string json = read(name);
  const auto merges = json.find("\"merges\"");
  ASSERT_NE(merges, std::string::npos);
  const auto first = json.find("[\"", merges);
  const auto second = json.find("[\"", first + 1);
  const auto third = json.find("[\"", second + 1);
  // The first two merges change places: as long as before, and other ids.
  const std::string a = json.substr(first, second - first);
  const std::string b = json.substr(second, third - second);
  json.replace(first, a.size() + b.size(), b + a);
  file(name, json);
  expect_error(train("out", line), 3, {"made/shards/stones/train", "tokenizer"});
  expect_error(train("made", {"--set", "train.steps=2"}), 3, {name, "replaced"});
}

TEST_F(BadInput, ADamagedCheckpointIsAnErrorWhereNamedAndPassedOverWhereNot) {
  const std::vector<std::string> line = {"--set", "train.steps=28"};
  trained("out", line);
  const std::string newest = "out/checkpoints/step-28";
  const auto before = metrics("out");
  for (const char* each : {"rank-0.bin", "manifest.json", "tokenizer.json", "config.json"}) {
    const std::string name = newest + "/" + each;
    const std::string whole = read(name);
    for (const std::size_t at : {std::size_t{3}, whole.size() / 2}) {
      flip(name, at, at % 2 == 0 ? 255 : 1);
      auto named = line;
      named.insert(named.end(), {"--resume", newest});
      expect_error(train("out", named), 3, {"step-28"});
      file(name, whole);
    }
  }
  flip(newest + "/rank-0.bin", 1000, 1);
  const Outcome passed = train("out", line);
  expect_error(passed, 0, {"warning", "step-28/rank-0.bin"});
  const auto after = metrics("out");
  ASSERT_EQ(after.size(), before.size());
  EXPECT_TRUE(monitor::equal_but_for_times(after.back(), before.back()));
  expect_error(run({"export", "--checkpoint", newest, "--to", "hf"}), 0, {});
}

TEST_F(BadInput, AnOutOfForeignFilesIsRefusedAndLeftAsItIs) {
  ASSERT_TRUE(env.make_dirs(path("mine/tokenizer")).ok());
  file("mine/facts.csv", "mine\n");
  file("mine/tokenizer/tokenizer.json", "mine\n");
  for (const char* verb : {"prep", "train", "run", "eval"})
    expect_error(run({verb, "tiny.yaml", "--out", "mine"}), 3,
                 {"mine is not empty", "no run.json", "facts.csv, tokenizer", "--out"});
  EXPECT_EQ(env.list_dir(path("mine")).value().size(), 2U);
  EXPECT_EQ(read("mine/facts.csv"), "mine\n");
}

TEST_F(BadInput, AMendedSpecTakesTheOutThatItsFirstTryLeft) {
  expect_error(train("out", {"--set", "data.sources=[{table: stone.csv}]"}), 3, {"stone.csv"});
  trained("out", {"--set", "train.steps=2"});
  EXPECT_THAT(read("out/resolved.yaml"), testing::HasSubstr("stones.csv"));
}

TEST_F(BadInput, AnOutThatAnotherProcessHoldsNamesTheHolder) {
  const auto holder = start(train_line("out", {"--set", "train.steps=1000000"}));
  ASSERT_TRUE(holder->wait_until([&] { return env.exists(path("out/metrics.jsonl")); }));
  expect_error(train("out", {"--set", "train.steps=1000000"}), 1,
               {"out is in use", fmt::format("process {} ", holder->pid())});
  EXPECT_FALSE(holder->ended());
  holder->send(SIGTERM);
  EXPECT_EQ(holder->wait().code, 75);
}

TEST_F(BadInput, AFolderThatCannotBeWrittenIsNamed) {
  // Under a file no folder can be made, whoever asks.
  expect_error(train("stones.csv/out"), 1, {"stones.csv/out"});
  if (::geteuid() == 0) return;  // root may write in a read-only folder
  ASSERT_TRUE(env.make_dirs(path("sealed")).ok());
  ASSERT_EQ(::chmod(path("sealed").c_str(), 0555), 0);
  expect_error(train("sealed/out"), 1, {"sealed/out", "Permission denied"});
  ASSERT_EQ(::chmod(path("sealed").c_str(), 0755), 0);
}

// While it lives no file of a program that is started may grow beyond so many bytes.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limited{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(BadInput, AFileThatMayNotGrowFailsAndTheRunGoesOnOnceItMay) {
  const std::vector<std::string> line = {"--set", "train.steps=14"};
  trained("whole", line);
  {
    const FileSizeLimit limit(100'000);  // the shards fit, a checkpoint does not
    expect_error(train("out", line), 1, {"out/checkpoints", "File too large"});
    EXPECT_EQ(checkpoints("out"), std::vector<std::string>{});
  }
  trained("out", line);
  expect_same_metrics("out", "whole");
  expect_same_files("out/checkpoints/step-14", "whole/checkpoints/step-14");
  EXPECT_EQ(leftovers("out"), std::vector<std::string>{});
}

TEST_F(BadInput, AFullDiskFailsAndTheCheckpointsBeforeItStayWhole) {
  ASSERT_TRUE(env.make_dirs(path("disk")).ok());
  if (::mount("boreal", path("disk").c_str(), "tmpfs", 0, "size=1200k") != 0)
    GTEST_SKIP() << "a small disk cannot be mounted here: " << std::strerror(errno);
  const std::vector<std::string> line = {"--set", "checkpoint.keep=0", "--set", "train.steps=28"};
  expect_error(train("disk/out", line), 1, {"disk/out"});
  const auto kept = checkpoints("disk/out");
  EXPECT_FALSE(kept.empty());
  EXPECT_LT(kept.size(), 4U);
  for (const std::string& name : kept)
    expect_error(run({"export", "--checkpoint", "disk/out/checkpoints/" + name, "--to", name}), 0,
                 {});
  ASSERT_EQ(::mount("boreal", path("disk").c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
  trained("disk/out", line);
  trained("roomy", line);
  expect_same_metrics("disk/out", "roomy");
  expect_same_files("disk/out/checkpoints/step-28", "roomy/checkpoints/step-28");
  ASSERT_EQ(::umount(path("disk").c_str()), 0);
}

TEST_F(BadInput, WrongCommandLinesExit2AndNameTheWrongWord) {
  expect_error(run({}), 2, {"subcommand"});
  expect_error(run({"teach"}), 2, {"teach"});
  expect_error(run({"train", "tiny.yaml", "--speed", "9"}), 2, {"--speed"});
  expect_error(run({"train"}), 2, {"spec"});
  expect_error(run({"generate", "--prompt", "a"}), 2, {"--model"});
  expect_error(run({"generate", "--model", "m", "--prompt", "a", "--top-p", "2"}), 2, {"--top-p"});
  expect_error(run({"export", "--checkpoint", "c", "--to", "t", "--dtype", "fp8"}), 2, {"--dtype"});
  expect_error(run({"eval"}), 2, {"SPEC"});
  expect_error(run({"tokenizer"}), 2, {"subcommand", "train, encode, decode"});
}

TEST_F(BadInput, AWordThatIsNearAnotherIsNamedWithIt) {
  const auto expect_said = [&](const std::vector<std::string>& line, const std::string& said) {
    const Outcome outcome = run(line);
    expect_error(outcome, 2, {said});
    EXPECT_THAT(outcome.err, testing::StartsWith("boreal: "));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  };
  expect_said({"generate", "--modell", "m", "--prompt", "a"},
              "no option --modell (did you mean --model?)");
  expect_said({"generate", "--modell=m", "--prompt", "a"}, "(did you mean --model?)");
  expect_said({"trian", "tiny.yaml"}, "no verb \"trian\" (did you mean train?)");
  expect_said({"tokenizer", "encod"},
              "no verb \"encod\" (did you mean encode?); the verbs of tokenizer are");
  expect_said({"train", "tiny.yaml", "more"}, "more");
}

TEST_F(BadInput, BatchesBeyondTheRunOrTheMemoryAreRefusedAtOnce) {
  const auto ask = [&](const std::string& range, const std::string& set) {
    return run({"tokens", "batches", "tiny.yaml", "--out", "out", "--set", set, "--steps", range,
                "--to", "b.safetensors"});
  };
  expect_error(ask("200..201", "train.steps=200"), 2, {"200..201", "the run has 200 steps"});
  expect_error(ask("0..100000000000", "train.steps=100000000000"), 2,
               {"256000.0 GB", "this machine has"});
  expect_error(ask("0..99999999999999999999", "train.steps=2"), 2, {"no range a..b"});
  EXPECT_FALSE(env.exists(path("out")));
}

TEST_F(BadInput, TasksThatWouldCountTwiceAreEmptyOrBelongToNoRun) {
  const std::string set = "train.steps=2";
  trained("out", {"--set", set});
  const auto of_run = [&](const std::string& tasks) {
    return run({"eval", "tiny.yaml", "--out", "out", "--set", set, "--tasks", tasks});
  };
  expect_error(of_run("choice,choice"), 2, {"choice and choice are the same task", "twice"});
  expect_error(of_run("choice, ./out/eval/choice.jsonl"), 2, {"the same task"});
  expect_error(of_run("choice, recall_seen"), 0, {});
  expect_error(of_run("choice, ,recall_seen"), 2, {"empty name"});
  file("none.jsonl", "");
  expect_error(of_run("none.jsonl"), 3, {"none.jsonl", "no items"});
  expect_error(run({"eval", "--model", "out", "--tasks", "choice"}), 2,
               {"\"choice\"", "SPEC", "OUT/eval/choice.jsonl"});
}

TEST_F(BadInput, AFolderWhereAFileIsToBeWrittenIsNamedBeforeTheWork) {
  ASSERT_TRUE(env.make_dirs(path("made")).ok());
  file("ids.txt", "1");
  expect_error(run({"tokenizer", "train", "--in", "stones.csv", "--out", "made"}), 2,
               {"--out", "made is a folder"});
  expect_error(run({"logits", "--model", "gone", "--ids", "ids.txt", "--to", "made"}), 2,
               {"--to", "made is a folder"});
  EXPECT_EQ(leftovers("."), std::vector<std::string>{});
}

TEST_F(BadInput, AResumeOrANameThatCannotBeMeantIsRefusedBeforeAFolderIsMade) {
  expect_error(train("out", {"--resume", "nver"}), 2, {"\"nver\"", "auto", "never", "folder"});
  EXPECT_FALSE(env.exists(path("out")));
  for (const char* name : {"../evil", ".hidden", "a/b"})
    expect_error(run({"train", "tiny.yaml", "--set", std::string("name=") + name}), 2,
                 {"name is", name, "--out"});
}

TEST_F(BadInput, ShardsThatAreNotThereOrHaveNoTokenizerAreNamed) {
  expect_error(
      train("out", {"--set", "data.sources=[{shards: gone/train}]", "--set", "model.vocab=300"}), 3,
      {"data.sources.0.shards", "gone/train.idx"});
  trained("made", {"--set", "train.steps=2"});
  expect_error(train("bare", {"--set", "data.sources=[{shards: made/shards/stones/train}]"}), 2,
               {"model.vocab", "data.tokenizer"});
}

TEST_F(BadInput, ATableMayHaveBlanksInItsNameAndAnEndingInCapitals) {
  file("my stones.CSV", read("stones.csv"));
  trained("out", {"--set", "data.sources=[{table: my stones.CSV}]", "--set", "train.steps=2"});
  EXPECT_TRUE(env.exists(path("out/shards/my_stones/train.idx")));
}

TEST_F(BadInput, MoreThreadsThanCoresAreWarnedOfOnce) {
  const Outcome outcome = run({"plan", "tiny.yaml", "--set", "threads=300"});
  expect_error(outcome, 0, {"warning: threads is 300, but this machine has"});
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1);
}

TEST_F(BadInput, ANumberOfTheLineIsNamedWithWhatIsExpectedAndNotWithItsBounds) {
  const auto expect_said = [&](const std::string& option, const std::string& value,
                               const std::string& said) {
    const Outcome outcome = run({"generate", "--model", "m", "--prompt", "a", option, value});
    expect_error(outcome, 2, {option, fmt::format("\"{}\" is not {}", value, said)});
    EXPECT_LT(outcome.err.size(), 200U) << outcome.err;
  };
  for (const char* value : {"-1", "inf", "nan", "1e999", "warm"})
    expect_said("--temperature", value, "a finite number from 0 up");
  for (const char* value : {"0", "-1", "1.5", "99999999999999999999"})
    expect_said("--max-tokens", value, "a whole number from 1 up");
  for (const char* value : {"nan", "2", "-0.5"})
    expect_said("--top-p", value, "a share from 0 to 1");
  expect_said("--top-k", "-1", "a whole number from 0 up");
  expect_error(run({"tokens", "head", "shards", "--count", "-1"}), 2, {"--count", "\"-1\""});
}

TEST_F(BadInput, GenerateNamesAMissingModelAnEmptyPromptAndOneBeyondTheContext) {
  trained("out", {"--set", "train.steps=2"});
  const auto ask = [&](const std::string& model, const std::string& prompt) {
    return run({"generate", "--model", model, "--prompt", prompt, "--max-tokens", "4"});
  };
  const std::string model = "out/checkpoints/step-2";
  expect_error(ask("gone", "a"), 3, {"gone", "no such folder"});
  expect_error(ask("logs", "a"), 3, {"logs", "manifest.json", "config.json"});
  expect_error(run({"generate", "--model", model, "--prompt", "a", "--max-tokens", "1000000"}), 2,
               {"--max-tokens", "1000000", "context is 32"});
  expect_error(ask(model, ""), 2, {"empty prompt"});
  expect_error(ask(model, std::string(500, 'x')), 2, {"tokens", "context is 32"});
  const Outcome good = ask(model, "Ara ");
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(good.out, testing::StartsWith("Ara "));
}

TEST_F(BadInput, ALossThatIsNotFiniteStopsNamesStepAndTensorAndKeepsTheCheckpoint) {
  const Outcome outcome =
      train("out", {"--set", "optim.lr=1.0e+30", "--set", "checkpoint.every_steps=1"});
  expect_error(outcome, 1,
               {"step 2", "not finite", "gradient of ", "checkpoint of step 1 is kept"});
  EXPECT_EQ(checkpoints("out"), std::vector<std::string>{"step-1"});
  const auto rows = metrics("out");
  ASSERT_EQ(rows.size(), 1U) << "the step that failed has no row";
}

}  // namespace
}  // namespace boreal::stories
