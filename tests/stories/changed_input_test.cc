// What a run finds out before it spends time: inputs that changed under finished work, prompts and
// sizes that cannot be, folders of somebody else.
#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

using testing::HasSubstr;

class ChangedInput : public Story {
 protected:
  void change_table() {
    std::string table = read("stones.csv");
    const std::size_t at = table.find_last_of("0123456789");
    ASSERT_NE(at, std::string::npos);
    table[at] = table[at] == '7' ? '8' : '7';
    file("stones.csv", table);
  }
};

TEST_F(ChangedInput, ATableThatChangedAfterTrainingIsNamedAndNothingIsReplaced) {
  trained("out");
  const auto shards = files_of("out/shards/stones");
  change_table();
  expect_error(train("out"), 3, {"out", "checkpoints", "stones.csv had the hash", "--out"});
  expect_error(run({"run", spec, "--quiet", "--out", path("out")}), 3, {"stones.csv had the hash"});
  EXPECT_EQ(files_of("out/shards/stones"), shards);
  trained("other");
}

TEST_F(ChangedInput, ACheckpointIsNotResumedOnOtherShards) {
  trained("made", {"--set", "train.steps=2"});
  const std::vector<std::string> on_shards = {
      "--set", "data.sources=[{shards: made/shards/stones/train}]", "--set",
      "data.tokenizer=made/tokenizer/tokenizer.json"};
  trained("out", on_shards);
  change_table();
  ASSERT_TRUE(env.remove_all(path("made")).ok());
  trained("made", {"--set", "train.steps=2"});
  expect_error(train("out", on_shards), 3, {"trained on the data", "step-", "--resume never"});
}

TEST_F(ChangedInput, PromptsTasksAndLengthAreLookedAtBeforeTraining) {
  const auto refused = [&](int code, const std::string& set,
                           const std::vector<std::string>& texts) {
    expect_error(run({"run", spec, "--quiet", "--out", path("out"), "--set", set}), code, texts);
    EXPECT_FALSE(env.exists(path("out/checkpoints"))) << set;
    ASSERT_TRUE(env.remove_all(path("out")).ok());
  };
  refused(2, "eval.prompts=['" + std::string(4000, 'x') + "']", {"eval.prompts", "tokens"});
  refused(2, "eval.prompts=['']", {"eval.prompts", "0 tokens"});
  refused(3, "eval.tasks=[recal_seen]", {"eval.tasks", "recal_seen", "recall_seen"});
  refused(3, "eval.tasks=[gone.jsonl]", {"gone.jsonl", "no such file"});
  refused(2, "train.steps=0", {"train.steps"});
}

TEST_F(ChangedInput, AModelThatDoesNotFitIsRefusedBeforeTheFirstStep) {
  expect_error(train("out", {"--set", "model.hidden=65536", "--set", "model.heads=512", "--set",
                             "model.kv_heads=512", "--set", "model.layers=64"}),
               3, {"GB of memory", "a smaller model does"});
  EXPECT_FALSE(env.exists(path("out/checkpoints")));
}

TEST_F(ChangedInput, AnExportLeavesFoldersOfOthersAlone) {
  trained("out");
  ASSERT_TRUE(env.make_dirs(path("hf.tmp")).ok());
  file("hf.tmp/notes.txt", "precious");
  const std::string checkpoint = path("out/checkpoints/" + checkpoints("out").back());
  const Outcome done = run({"export", "--checkpoint", checkpoint, "--to", path("hf") + "/"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(read("hf.tmp/notes.txt"), "precious");
  EXPECT_TRUE(env.exists(path("hf/model.safetensors")));
  expect_error(run({"export", "--checkpoint", checkpoint, "--to", path("hf")}), 2,
               {"exists already"});
  expect_error(run({"import", "--from", path("hf"), "--to", ""}), 2, {"no name"});
}

TEST_F(ChangedInput, AnOutThatAnotherSpecWroteNamesTheKeysThatDiffer) {
  trained("out", {"--set", "train.steps=2"});
  const auto before = files_of("out");
  const Outcome other =
      train("out", {"--set", "train.steps=3", "--set", "seed=9", "--set", "eval.every_steps=5",
                    "--set", "checkpoint.keep=1", "--set", "threads=1"});
  expect_error(other, 3, {"another spec", "train.steps: 3, was 2", "seed: 9, was 7"});
  for (const char* does_not_count : {"eval.", "checkpoint.", "threads", "world"})
    EXPECT_THAT(other.err, testing::Not(testing::HasSubstr(does_not_count)));
  auto after = files_of("out");
  after.erase(".lock");
  for (const auto& [name, content] : after) EXPECT_EQ(content, before.at(name)) << name;
}

}  // namespace
}  // namespace boreal::stories
