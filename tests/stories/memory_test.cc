// What a run needs is said before it runs, and a run that cannot have it does not begin.
#include <nlohmann/json.hpp>

#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

class Memory : public Story {
 protected:
  static nlohmann::json figures(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::size_t line = outcome.out.rfind('{', outcome.out.rfind("\"parameters\""));
    return nlohmann::json::parse(outcome.out.substr(line), nullptr, false);
  }

  static constexpr const char* kLarge = R"(name: large
model:
  {family: llama, hidden: 16384, layers: 120, heads: 128, kv_heads: 8, ffn: 53248, vocab: 128256,
   context: 8192}
data: {sequence: 8192, sources: [{synthetic: true}]}
train: {steps: 2, batch_sequences: 16}
)";
};

TEST_F(Memory, OfADryRunIsToldByClassForPeopleAndPrograms) {
  const Outcome outcome =
      run({"train", spec, "--out", path("out"), "--set", "train.steps=2", "--set",
           "train.recompute=full 0, selective 1", "--dry-run", "--json"});
  const nlohmann::json told = figures(outcome);
  std::int64_t sum = 0;
  for (const char* name : {"weights", "packed weights", "masters", "moments", "gradients",
                           "activations", "workspace", "data", "communication"}) {
    EXPECT_NE(outcome.out.find(name), std::string::npos) << name;
    ASSERT_TRUE(told["bytes"].contains(name)) << name;
    sum += told["bytes"][name].get<std::int64_t>();
  }
  EXPECT_EQ(told["total_bytes"], sum);
  EXPECT_EQ(told["bytes"]["moments"], 2 * told["bytes"]["masters"].get<std::int64_t>());
  EXPECT_TRUE(told["fits"]);
  EXPECT_GE(told["machine_bytes"], told["available_bytes"]);
  EXPECT_TRUE(told["smaller"].empty());
}

TEST_F(Memory, ThatIsNotThereStopsARunBeforeItBegins) {
  const std::string large = file("large.yaml", kLarge);
  expect_error(run({"train", large, "--out", path("out"), "--quiet"}), 3,
               {"training needs ", "masters (", "this machine has ",
                "no change of the spec makes "
                "it fit",
                "mesh.dp_shard: 16"});
  EXPECT_FALSE(env.exists(path("out/metrics.jsonl")));
  const nlohmann::json told = figures(run({"plan", large, "--json"}));
  EXPECT_FALSE(told["fits"]);
  EXPECT_FALSE(told["smaller"].empty());
}

TEST_F(Memory, OfTheOptimizerMayMoveToAFileBetweenTwoRuns) {
  trained("whole", {"--set", "train.steps=6", "--set", "checkpoint.every_steps=3"});
  trained("moved", {"--set", "train.steps=6", "--set", "checkpoint.every_steps=3"});
  ASSERT_TRUE(env.remove_all(path("moved/checkpoints/step-6")).ok());
  trained("moved", {"--set", "train.steps=6", "--set", "checkpoint.every_steps=3", "--set",
                    "train.optimizer_state=" + path("moments")});
  expect_same_metrics("moved", "whole");
  EXPECT_TRUE(env.list_dir(path("moments")).value().empty());
}

TEST_F(Memory, PoliciesOfRecomputingAreCheckedWithASuggestion) {
  expect_error(train("out", {"--set", "train.recompute=selektive"}), 2,
               {"train.recompute", "Did you mean selective?"});
  expect_error(train("out", {"--set", "train.recompute=full 0-99"}), 2, {"block 99 is not there"});
}

}  // namespace
}  // namespace boreal::stories
