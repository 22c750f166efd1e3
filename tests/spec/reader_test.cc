#include "spec/reader.h"

#include "tests/spec/spec_fixture.h"

namespace boreal::spec {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Reader : public SpecFolder {};

constexpr const char* kSample = R"(# a small run
name: sample
seed: 7
world: threads:4
model:
  family: gpt2
  hidden: 64
  tied_embeddings: false
data:
  sources:
    - table: tables/elements.csv.gz
      weight: 2.5
    - jsonl: papers.v2.jsonl
      field: body
optim: {lr: 2e-3, betas: [0.9, 0.99]}
eval:
  tasks: [recall, choice]
  prompts:
    - "The symbol of gold is"
)";

TEST_F(Reader, ReadsEveryKindOfKeyAndKeepsDefaultsForTheRest) {
  const auto spec = read(kSample);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->name, "sample");
  EXPECT_EQ(spec->seed, 7);
  EXPECT_EQ(spec->world, "threads:4");
  EXPECT_EQ(spec->model.family, "gpt2");
  EXPECT_EQ(spec->model.hidden, 64);
  EXPECT_FALSE(spec->model.tied_embeddings);
  EXPECT_EQ(spec->model.layers, ModelSpec().layers);
  ASSERT_EQ(spec->data.sources.size(), 2U);
  EXPECT_EQ(spec->data.sources[0].weight, 2.5);
  EXPECT_EQ(spec->data.sources[1].field, "body");
  EXPECT_EQ(spec->optim.lr, 2e-3);
  EXPECT_THAT(spec->optim.betas, ElementsAre(0.9, 0.99));
  EXPECT_THAT(spec->eval.tasks, ElementsAre("recall", "choice"));
  EXPECT_THAT(spec->eval.prompts, ElementsAre("The symbol of gold is"));
}

TEST_F(Reader, AnAbsentNameBecomesTheFiles) {
  const auto spec = read(
      "model: {vocab: 300}\ndata:\n  sources:\n    - table: t/elements.csv.gz\n    - text: "
      "a.b.txt\n    - shards: out/web\n"
      "    - jsonl: x.jsonl.zst\n    - synthetic: true\ntokenizer: {vocab: 300}\n");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->name, "run");
  std::vector<std::string> names;
  for (const SourceSpec& source : spec->data.sources) names.push_back(source.name);
  EXPECT_THAT(names, ElementsAre("elements", "a.b", "web", "x", "synthetic"));
}

TEST_F(Reader, ABaseIsReadFirstAndOverriddenKeyByKeyWhileListsAreReplaced) {
  ASSERT_TRUE(env.make_dirs(path("sub")).ok());
  write("root.yaml", "seed: 1\nmodel: {hidden: 64, layers: 2}\neval: {tasks: [a, b]}\n");
  write("sub/middle.yaml", "base: ../root.yaml\nseed: 2\nmodel: {layers: 3}\n");
  const auto spec = read("base: sub/middle.yaml\nseed: 3\neval: {tasks: [c]}\n");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->seed, 3);
  EXPECT_EQ(spec->model.hidden, 64);
  EXPECT_EQ(spec->model.layers, 3);
  EXPECT_THAT(spec->eval.tasks, ElementsAre("c"));
}

TEST_F(Reader, ACircleOfBasesIsRefusedWithItsPath) {
  write("b.yaml", "seed: 1\nbase: ./c.yaml\n");
  write("c.yaml", "base: run.yaml\n");
  const std::string message = "base goes in a circle: " + path("run.yaml") + " -> " +
                              path("b.yaml") + " -> " + path("c.yaml") + " -> " + path("run.yaml");
  const auto spec = read("base: b.yaml\n");
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().message, path("c.yaml") + ":1: " + message);
  EXPECT_FALSE(read("base: run.yaml\n").ok());
}

TEST_F(Reader, ALongChainOfBasesAndABadBaseAreRefused) {
  for (int i = 0; i < 20; ++i)
    write(fmt::format("{}.yaml", i), fmt::format("base: {}.yaml\n", i + 1));
  EXPECT_THAT(read("base: 0.yaml\n").error().message, HasSubstr("through more than 16 files"));
  EXPECT_THAT(
      read("seed: 1\nbase: none.yaml\n").error().message,
      AllOf(StartsWith(path("run.yaml") + ":2: base: "), HasSubstr("none.yaml: No such file")));
  EXPECT_EQ(exit_code(read("base: none.yaml\n").error().kind), 2);
  EXPECT_THAT(read("base: ''\n").error().message, HasSubstr(":1: base is empty"));
  EXPECT_THAT(read("base: [a]\n").error().message, HasSubstr(":1: base is a list"));
  write("list.yaml", "- 1\n");
  EXPECT_THAT(read("base: list.yaml\n").error().message,
              StartsWith(path("list.yaml") + ":1: keys are expected here"));
}

TEST_F(Reader, AnErrorInABaseNamesTheBase) {
  write("base.yaml", "seed: 1\nmodel:\n  hiden: 3\n");
  EXPECT_EQ(read("base: base.yaml\n").error().message,
            path("base.yaml") + ":3: unknown key \"model.hiden\"; did you mean model.hidden?");
}

TEST_F(Reader, AnUnknownKeyNamesTheNearestBesideItOrOfThatNameElsewhere) {
  expect_refused("seed: 1\nmodel:\n  hiden: 3\n", {}, "run.yaml:3",
                 "unknown key \"model.hiden\"; did you mean model.hidden?");
  expect_refused("optimizer: {lr: 1}\n", {}, "run.yaml:1",
                 "unknown key \"optimizer\"; did you mean optim?");
  expect_refused("steps: 3\n", {}, "run.yaml:1",
                 "unknown key \"steps\"; did you mean train.steps?");
  expect_refused("data:\n  sources:\n    - table: a.csv\n    - text: b\n      wieght: 1\n", {},
                 "run.yaml:5",
                 "unknown key \"data.sources.1.wieght\"; did you mean data.sources.1.weight?");
  expect_refused("tokenizer:\n  zzz: 1\n", {}, "run.yaml:2",
                 "unknown key \"tokenizer.zzz\"; known here: vocab, pattern");
  expect_refused("model: {base: x.yaml}\n", {}, "run.yaml:1",
                 "unknown key \"model.base\"; known here: family, hidden, layers, heads, kv_heads, "
                 "head_dim, ffn, vocab, context, "
                 "dtype, tied_embeddings, norm_eps, position, rope_theta, rotary_percent, "
                 "rope_scaling, attention, logit_soft_cap, init_std");
}

TEST_F(Reader, AWrongTypeNamesWhatStandsThereAndWhatIsExpected) {
  expect_refused("seed: 1\nmodel:\n  hidden: wide\n", {}, "run.yaml:3",
                 "model.hidden is \"wide\", but a whole number is expected");
  expect_refused("train:\n  steps: 012\n", {}, "run.yaml:2",
                 "train.steps is \"012\", but a whole number is expected; write 12");
  expect_refused("model:\n  tied_embeddings: yes\n", {}, "run.yaml:2",
                 "model.tied_embeddings is \"yes\", but true or false is expected; write true");
  expect_refused("optim:\n  lr: .inf\n", {}, "run.yaml:2",
                 "optim.lr is \".inf\", but a number is expected");
  expect_refused("optim:\n  betas: 0.9\n", {}, "run.yaml:2",
                 "optim.betas is \"0.9\", but a list is expected ([] for an empty one)");
  expect_refused("optim:\n  betas: [0.9,\n    x]\n", {}, "run.yaml:3",
                 "optim.betas.1 is \"x\", but a number is expected");
  expect_refused("name: [a]\n", {}, "run.yaml:1",
                 "name is a list, but one text is expected (put it in quotes)");
  expect_refused("name:\nseed: 1\n", {}, "run.yaml:1",
                 "name has no value; text is expected (write \"\" for an empty one)");
  expect_refused("tokenizer: 5\n", {}, "run.yaml:1",
                 "tokenizer is \"5\", but keys are expected: vocab, pattern");
  expect_refused("seed: 1\ntokenizer:\n", {}, "run.yaml:2",
                 "tokenizer is nothing, but keys are expected: vocab, pattern");
  expect_refused("- a\n", {}, "run.yaml:1", "keys are expected here (name: ...), found a list");
  expect_refused("seed: 1\nseed: 2\n", {}, "run.yaml:2",
                 "the key \"seed\" stands twice, first on line 1; remove one");
}

TEST_F(Reader, AMissingSpecIsWrongUsage) {
  const auto spec = read_run_spec(env, path("nothing.yaml"), {});
  ASSERT_FALSE(spec.ok());
  EXPECT_THAT(spec.error().message, HasSubstr("nothing.yaml: No such file"));
  EXPECT_EQ(exit_code(spec.error().kind), 2);
  EXPECT_FALSE(read_run_spec(env, dir, {}).ok());
}

TEST_F(Reader, SetsAreAppliedInOrderAfterTheFile) {
  const auto spec = read(
      kSample, {"train.steps=5", "train.steps=6", "data.sources.1.weight=2", "optim.betas.1=0.98",
                "eval.prompts.0=a: b # c", "eval.tasks=[x, 'y z']", "mesh={dp_shard: 2, zero: 3}",
                "data.sources.0={text: book.txt}", "name=", "model.tied_embeddings=true"});
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->train.steps, 6);
  EXPECT_EQ(spec->data.sources[1].weight, 2);
  EXPECT_EQ(spec->data.sources[1].field, "body");
  EXPECT_EQ(spec->data.sources[0].text, "book.txt");
  EXPECT_EQ(spec->data.sources[0].table, "");
  EXPECT_EQ(spec->data.sources[0].weight, 1);
  EXPECT_EQ(spec->data.sources[0].name, "book");
  EXPECT_THAT(spec->optim.betas, ElementsAre(0.9, 0.98));
  EXPECT_THAT(spec->eval.prompts, ElementsAre("a: b # c"));
  EXPECT_THAT(spec->eval.tasks, ElementsAre("x", "y z"));
  EXPECT_EQ(spec->mesh.dp_shard, 2);
  EXPECT_EQ(spec->mesh.zero, 3);
  EXPECT_EQ(spec->name, "run");
  EXPECT_TRUE(spec->model.tied_embeddings);
}

TEST_F(Reader, AWrongSetIsRefusedAsItWasTyped) {
  const auto refused = [&](const std::string& set, const std::string& message) {
    expect_refused(kSample, {set}, "--set " + set, message);
  };
  refused("train.steps", "a key, = and a value are expected, as in --set train.steps=100");
  refused("=3", "a key, = and a value are expected, as in --set train.steps=100");
  refused("train.stesp=4", "unknown key \"train.stesp\"; did you mean train.steps?");
  refused("trian.steps=4", "unknown key \"trian\"; did you mean train?");
  refused("steps=4", "unknown key \"steps\"; did you mean train.steps?");
  refused("data.sources.0.wieght=2",
          "unknown key \"data.sources.0.wieght\"; did you mean data.sources.0.weight?");
  refused("data.sources.2.weight=2", "data.sources has elements 0 to 1, so there is no element 2");
  refused("data.sources.-1.weight=2",
          "data.sources has elements 0 to 1, so there is no element -1");
  refused("data.sources.first.weight=2",
          "data.sources is a list, so a number is expected after it, not \"first\"");
  refused("eval.prompts.1=x", "eval.prompts has elements 0 to 0, so there is no element 1");
  refused("train.steps.now=1", "train.steps takes one value (int) and has no keys under it");
  refused("train.steps=1e3", "train.steps is \"1e3\", but a whole number is expected; write 1000");
  refused("train.steps= 5", "train.steps is \" 5\", but a whole number is expected");
  refused("model.tied_embeddings=no",
          "model.tied_embeddings is \"no\", but true or false is expected; write false");
  refused("optim.betas=", "optim.betas needs a value; write [] for an empty list");
  refused("base=other.yaml",
          "base is read from a file only; name the other spec on the command line");
  refused(
      "model.heads=3",
      "model.heads is 3, which does not divide model.hidden (64): each head takes an equal slice.");
  EXPECT_THAT(read(kSample, {"train..steps=1"}).error().message,
              HasSubstr("unknown key \"train.\""));
  EXPECT_THAT(
      read(kSample, {"eval.tasks=[a"}).error().message,
      StartsWith(
          "--set eval.tasks=[a:1: a key must be a word, but a bracket stands here; is it closed"));
  EXPECT_THAT(read(kSample, {"eval.tasks=a"}).error().message,
              HasSubstr("eval.tasks is \"a\", but a list is expected"));
  EXPECT_THAT(read(kSample, {"name=\xff"}).error().message, HasSubstr("no valid UTF-8"));
  EXPECT_THAT(read("seed: 1\n", {"eval.prompts.0=x"}).error().message,
              HasSubstr("eval.prompts is empty"));
}

TEST_F(Reader, AComplaintNamesTheLayerThatSetTheValueLast) {
  write("base.yaml", "model:\n  hidden: 64\n");
  expect_refused(
      "base: base.yaml\nmodel:\n  heads: 5\n", {}, "run.yaml:3",
      "model.heads is 5, which does not divide model.hidden (64): each head takes an equal slice.");
  expect_refused(
      "base: base.yaml\nmodel:\n  heads: 8\n", {"model.hidden=60"}, "--set model.hidden=60",
      "model.heads is 8, which does not divide model.hidden (60): each head takes an equal slice.");
  expect_refused(
      "data:\n  sources:\n    - table: a.csv\n    - weight: 1\n", {}, "run.yaml:4",
      "data.sources.1 names no data: give it one of table, text, jsonl, shards, synthetic.");
  expect_refused("data:\n  sources:\n    - table: a.csv\n", {"data.sources.0.text=b"},
                 "--set data.sources.0.text=b",
                 "data.sources.0 has table and text, but a source is of one kind; make each a "
                 "source of its own.");
}

TEST_F(Reader, TheHashChangesWithWhatDecidesTheNumbersAndWithNothingElse) {
  const std::string hash = spec_hash(*read(kSample));
  EXPECT_EQ(hash.size(), 32U);
  EXPECT_EQ(hash.find_first_not_of("0123456789abcdef"), std::string::npos);
  for (const char* same :
       {"world=single", "threads=3", "checkpoint.keep=7", "checkpoint.every_steps=9",
        "eval.tasks=[]", "eval.every_steps=2", "mesh.dp_shard=2", "dist.debug=true", "seed=7"})
    EXPECT_EQ(spec_hash(*read(kSample, {same})), hash) << same;
  for (const char* other :
       {"seed=8", "model.hidden=128", "data.sources.1.weight=3", "optim.betas.0=0.8",
        "train.steps=1", "tokenizer.vocab=300", "cards.max_facts=5"})
    EXPECT_NE(spec_hash(*read(kSample, {other})), hash) << other;
}

TEST(ResolvedYaml, ListsEveryKeyInOrderAndQuotesWhatOtherReadersWouldMistake) {
  RunSpec spec;
  spec.name = "yes";
  spec.data.tokenizer = "012";
  spec.data.sources.resize(1);
  spec.data.sources[0].text = "../books/a.txt";
  spec.eval.prompts = {"a: b", "tab\there", "say \"hi\" \\"};
  const std::string yaml = resolved_yaml(spec);
  EXPECT_THAT(
      yaml,
      StartsWith("name: \"yes\"\nseed: 1\nworld: single\nthreads: 0\nmodel:\n  family: llama\n"));
  EXPECT_THAT(yaml, HasSubstr("  tokenizer: \"012\"\n  sources:\n    - name: \"\"\n      table: "
                              "\"\"\n      text: ../books/a.txt\n"));
  EXPECT_THAT(yaml, HasSubstr("  betas: [0.9, 0.95]\n  eps: 1e-08\n"));
  EXPECT_THAT(
      yaml,
      HasSubstr("  tasks: []\n  max_items: 0\n  prompts:\n    - \"a: b\"\n    - \"tab\\there\"\n"
                "    - \"say \\\"hi\\\" \\\\\"\n"));
}

TEST(DescribeKeys, ShowsPathTypeDefaultAndHelpOfEveryKey) {
  const std::string all = describe_keys({});
  EXPECT_THAT(all, HasSubstr("\ntrain.batch_sequences                int      8  "));
  EXPECT_THAT(all, HasSubstr("  rows in one optimizer step, over all ranks\n"));
  EXPECT_THAT(all, HasSubstr("\noptim.betas                          numbers  [0.9, 0.95]  "));
  EXPECT_THAT(all, HasSubstr("\ndata.sources.N.weight                number   1  "));
  EXPECT_THAT(all, HasSubstr("\nmodel.tied_embeddings                bool     true  "));
  EXPECT_THAT(all, HasSubstr("base "));
}

TEST(DescribeKeys, ListsOnlyTheSectionsAskedFor) {
  const std::string some = describe_keys({"seed", "tokenizer"});
  EXPECT_EQ(some,
            "seed               int   1      seed of weights and data order\n"
            "tokenizer.vocab    int   4096   size of a trained vocabulary [ids]\n"
            "tokenizer.pattern  text  words  how text is cut before merging: words (a name has the "
            "same ids everywhere) or "
            "gpt2\n");
}

}  // namespace
}  // namespace boreal::spec
