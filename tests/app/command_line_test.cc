// The command line is a contract: scripts and tests rely on its words, figures and exit codes.
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class CommandLine : public Story {
 protected:
  // The last line of stdout, which is one JSON object with these keys.
  json figures(const Outcome& outcome, const std::vector<std::string>& keys) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, testing::EndsWith("}\n"));
    const std::string text = outcome.out.substr(0, outcome.out.size() - 1);
    const std::string last = text.substr(text.rfind('\n') + 1);
    const json object = json::parse(last, nullptr, false);
    EXPECT_TRUE(object.is_object()) << last;
    for (const std::string& key : keys) EXPECT_TRUE(object.contains(key)) << key << ": " << last;
    return object;
  }
  // Exit code of `boreal LINE` as a shell runs it; stderr goes to the file err.
  int shell(const std::string& line) {
    const int status =
        std::system(fmt::format("cd '{}' && ('{}' {}) 2> err", dir, BOREAL_PROGRAM, line).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_F(CommandLine, VersionAndHelpGoToStdoutAndExit0) {
  const Outcome version = run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, std::string("boreal ") + BOREAL_VERSION + "\n");
  const Outcome help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  EXPECT_THAT(help.out, HasSubstr("boreal run recipes/quickstart.yaml"));
}

TEST_F(CommandLine, OutputThatIsLostIsAFailureThatSaysWhy) {
  EXPECT_EQ(shell("plan tiny.yaml --json > /dev/full"), 1);
  EXPECT_EQ(read("err"), "boreal: cannot write to stdout: No space left on device\n");
  EXPECT_EQ(shell("--help > /dev/full"), 1);
  EXPECT_EQ(shell("plan tiny.yaml >&-"), 1);
  EXPECT_EQ(read("err"), "boreal: cannot write to stdout: Bad file descriptor\n");
  EXPECT_EQ(shell("plan tiny.yaml <&- > out 2>&-"), 0);
  EXPECT_EQ(shell("tokenizer train --in stones.csv --out t.json --vocab 300 --quiet >&-"), 0)
      << "it prints nothing";
  EXPECT_EQ(shell("tokenizer encode --tokenizer t.json --in stones.csv > /dev/full"), 1);
  EXPECT_THAT(read("err"), HasSubstr("cannot write to stdout: No space left on device"));
}

TEST_F(CommandLine, EveryVerbIsListedAndItsHelpHasAnExampleThatNamesIt) {
  const auto expect_example = [&](std::vector<std::string> words) {
    const std::string verb = fmt::format("boreal {}", fmt::join(words, " "));
    words.push_back("--help");
    const Outcome help = run(words);
    EXPECT_EQ(help.code, 0) << verb;
    const auto example = help.out.find("Example");
    ASSERT_NE(example, std::string::npos) << verb;
    EXPECT_THAT(help.out.substr(example), HasSubstr(verb + " "));
    EXPECT_THAT(help.out, testing::Not(HasSubstr("step-"))) << "goes stale";
  };
  const Outcome help = run({"--help"});
  for (const char* verb : {"run", "prep", "train", "eval", "generate", "logits", "export", "import",
                           "tokenizer", "tokens", "mesh", "plan", "machine"}) {
    EXPECT_THAT(help.out, HasSubstr(std::string("\n  ") + verb + " ")) << verb;
    expect_example({verb});
  }
  for (const char* sub : {"train", "encode", "decode"}) expect_example({"tokenizer", sub});
  for (const char* sub : {"ls", "head", "stats", "verify", "find", "batches"})
    expect_example({"tokens", sub});
}

TEST_F(CommandLine, AModelMayBeTheFolderOfARunWhichStandsForItsNewestWholeCheckpoint) {
  trained("out", {"--set", "train.steps=14", "--set", "checkpoint.keep=0"});
  const auto ask = [&](const std::string& model) {
    return run({"generate", "--model", model, "--prompt", "Ara "});
  };
  const Outcome named = ask("out/checkpoints/step-14");
  EXPECT_EQ(named.err, "");
  for (const char* model : {"out", "out/checkpoints"}) {
    const Outcome found = ask(model);
    EXPECT_EQ(found.out, named.out);
    EXPECT_EQ(found.err, "the model is out/checkpoints/step-14\n");
  }
  flip("out/checkpoints/step-14/rank-0.bin", 1000, 1);
  expect_error(ask("out"), 0, {"warning", "step 14", "the model is out/checkpoints/step-7\n"});
  EXPECT_EQ(
      figures(run({"export", "--checkpoint", "out", "--to", "hf", "--json"}), {"to"})["checkpoint"],
      "out/checkpoints/step-7");
}

TEST_F(CommandLine, HelpOfTrainListsTheKeysThatOthersRelyOn) {
  const Outcome help = run({"train", "--help"});
  for (const char* key : {"seed", "world", "model.kv_heads", "data.sequence", "mesh.dp_shard",
                          "train.micro_batch_sequences", "optim.warmup_steps",
                          "checkpoint.every_steps", "eval.every_steps"})
    EXPECT_THAT(help.out, HasSubstr(key));
}

TEST_F(CommandLine, ARecipeRunsToItsReportAndASecondTimeSkipsWhatIsDone) {
  const std::vector<std::string> line = {"run",   "tiny.yaml",      "--out",  "out",
                                         "--set", "train.steps=20", "--json", "--quiet"};
  const std::vector<std::string> keys = {
      "wall_s",          "train_s",       "peak_rss_bytes",        "tables",      "records",
      "documents",       "tokens",        "facts_trained",         "recall_seen", "recall_heldout",
      "choice_accuracy", "choice_chance", "validation_perplexity", "report"};
  const Outcome first = run(line);
  const json figures_once = figures(first, keys);
  EXPECT_EQ(first.err, "") << "--quiet";
  EXPECT_EQ(figures_once["tables"], 1);
  EXPECT_EQ(figures_once["records"], 30);
  EXPECT_EQ(figures_once["choice_chance"], 0.25);
  for (const char* share : {"recall_seen", "recall_heldout", "choice_accuracy"}) {
    EXPECT_GE(figures_once[share].get<double>(), 0) << share;
    EXPECT_LE(figures_once[share].get<double>(), 1) << share;
  }
  const std::string report = read(figures_once["report"]);
  for (const char* text :
       {"</html>", "Recall, trained phrasing (recall_seen)", "Whiskers span", "; medians",
        "facts trained", "<th scope=\"col\">licence</th>", "Nothing that was read was left out."})
    EXPECT_THAT(report, HasSubstr(text));
  for (const char* made : {"tokenizer/tokenizer.json", "resolved.yaml", "metrics.jsonl",
                           "results.json", "samples.jsonl", "checkpoints/step-20/manifest.json"})
    EXPECT_TRUE(env.exists(path(std::string("out/") + made))) << made;

  const std::string rows = read("out/metrics.jsonl");
  // The second time the model is asked one of the questions that it is scored on.
  const std::string items = read("out/eval/recall_heldout.jsonl");
  const json item = json::parse(items.substr(0, items.find('\n')));
  auto asking = line;
  asking.insert(asking.end(), {"--set", fmt::format("eval.prompts=[{}]", item["prompt"].dump())});
  const json again = figures(run(asking), keys);
  EXPECT_THAT(read(again["report"]),
              HasSubstr(fmt::format("expected: {} · a phrasing held out for this property",
                                    item["answer"].get<std::string>())));
  EXPECT_EQ(read("out/metrics.jsonl"), rows) << "training ran again";
  for (const char* same : {"recall_seen", "recall_heldout", "choice_accuracy", "tokens",
                           "validation_perplexity", "train_s", "peak_rss_bytes"})
    EXPECT_EQ(again[same], figures_once[same]) << same;
  const auto stages = [&] { return json::parse(read("out/run.json"))["stages"]; };
  const json before = stages();
  trained("out", {"--set", "train.steps=20"});
  EXPECT_EQ(stages(), before) << "a command that finds its stages done changes nothing";
}

TEST_F(CommandLine, TheLineAtTheEndOfARunAsksOfItsOwnTableAndAShellTakesItAsItIs) {
  const std::vector<std::string> line = {"run",   "tiny.yaml",     "--out",  "o'ut $HOME",
                                         "--set", "train.steps=2", "--quiet"};
  const Outcome own = run(line);
  ASSERT_EQ(own.code, 0) << own.err;
  const std::string begin = "ask it yourself: ./run ";
  const auto at = own.out.find(begin);
  ASSERT_NE(at, std::string::npos);
  const std::string command = own.out.substr(at + begin.size());
  EXPECT_THAT(command,
              StartsWith("generate --model 'o'\\''ut $HOME/checkpoints/step-2' --prompt "));
  EXPECT_THAT(command, testing::Not(HasSubstr("iron")));
  EXPECT_EQ(shell(command.substr(0, command.find('\n')) + " > said"), 0) << read("err");
  auto with_prompt = line;
  with_prompt.insert(with_prompt.end(), {"--set", "eval.prompts=[\"Ara's `mass` $HOME\"]"});
  with_prompt[3] = "out";
  EXPECT_THAT(run(with_prompt).out, HasSubstr("--prompt 'Ara'\\''s `mass` $HOME'\n"));
}

TEST_F(CommandLine, EveryStageEndsWithItsFigures) {
  const std::string set = "train.steps=6";
  const json prepared =
      figures(run({"prep", "tiny.yaml", "--out", "out", "--set", set, "--json", "--quiet"}),
              {"tables", "records", "documents", "tokens", "vocab", "facts_trained"});
  EXPECT_EQ(prepared["documents"],
            json::parse(read("out/prep.json"))["sources"][0]["documents_train"])
      << "as the tokens, without validation";
  const json plan = figures(run({"plan", "tiny.yaml", "--set", set, "--json"}),
                            {"parameters", "steps", "total_bytes", "bytes"});
  const json trained = figures(train("out", {"--set", set, "--json"}),
                               {"steps", "tokens", "loss", "validation_loss", "wall_s",
                                "tokens_per_s", "flop_utilisation", "parameters", "checkpoint"});
  EXPECT_EQ(trained["steps"], 6);
  EXPECT_EQ(trained["tokens"], 6 * 4 * 32);
  EXPECT_EQ(trained["parameters"], plan["parameters"]);
  const json dry = figures(train("dry", {"--set", set, "--json", "--dry-run"}),
                           {"parameters", "steps", "total_bytes"});
  EXPECT_EQ(dry["parameters"], plan["parameters"]);
  EXPECT_FALSE(env.exists(path("dry/checkpoints")));

  const std::string model = trained["checkpoint"];
  const json eval = figures(run({"eval", "tiny.yaml", "--out", "out", "--set", set, "--json"}),
                            {"model", "tasks", "validation_perplexity"});
  EXPECT_EQ(eval["tasks"]["choice"]["all"]["chance"], 0.25);
  const json of_model =
      figures(run({"eval", "--model", model, "--tasks", "out/eval/choice.jsonl", "--json"}),
              {"model", "tasks"});
  EXPECT_EQ(of_model["tasks"]["choice"], eval["tasks"]["choice"]);

  const json said = figures(run({"generate", "--model", model, "--prompt", "Ara ", "Bra ",
                                 "--max-tokens", "5", "--json"}),
                            {"completions"});
  ASSERT_EQ(said["completions"].size(), 2U);
  EXPECT_EQ(said["completions"][1]["prompt"], "Bra ");
  EXPECT_LE(said["completions"][0]["tokens"].size(), 5U);
}

TEST_F(CommandLine, TheVerbsThatWriteFilesOrLookIntoThemHaveFiguresToo) {
  trained("out", {"--set", "train.steps=2"});
  const std::string model = "out/checkpoints/step-2";
  file("ids.txt", "1 2 3");
  const json exported = figures(run({"export", "--checkpoint", model, "--to", "hf", "--json"}),
                                {"checkpoint", "to", "dtype", "tokenizer"});
  const json imported =
      figures(run({"import", "--from", "hf", "--to", "back", "--json"}), {"from", "to"});
  EXPECT_EQ(imported["parameters"], exported["parameters"]);
  const json logits = figures(
      run({"logits", "--model", model, "--ids", "ids.txt", "--to", "l.safetensors", "--json"}),
      {"model", "to", "vocab"});
  EXPECT_EQ(logits["tokens"], 3);
  figures(run({"tokens", "ls", "out/shards", "--json"}), {"shards", "documents", "tokens"});
  figures(run({"tokens", "verify", "out/shards", "--json"}), {"shards", "documents", "tokens"});
  figures(run({"tokens", "stats", "out/shards", "--json"}), {"rows"});
  figures(run({"tokens", "find", "out/shards", "--text", "Ara", "--json"}), {"found"});
  const json head = figures(
      run({"tokens", "head", "out/shards/stones/train", "--count", "3", "--json"}), {"shards"});
  EXPECT_EQ(head["documents"], 3);
  const json batches =
      figures(run({"tokens", "batches", "tiny.yaml", "--set", "train.steps=2", "--out", "out",
                   "--steps", "0..2", "--to", "b.safetensors", "--json", "--quiet"}),
              {"to", "rows", "sequence"});
  EXPECT_EQ(batches["batches"], 2);
}

TEST_F(CommandLine, TheTokenizersFiguresFollowNoOutputOfItsOwn) {
  const json trained = figures(run({"tokenizer", "train", "--in", "stones.csv", "--out", "t.json",
                                    "--vocab", "300", "--json"}),
                               {"out", "bytes"});
  EXPECT_GT(trained["vocab"], 256);
  const std::vector<std::string> encode = {"tokenizer", "encode",     "--tokenizer", "t.json",
                                           "--in",      "stones.csv", "--json",      "--out"};
  auto to_file = encode;
  to_file.push_back("ids");
  const json ids = figures(run(to_file), {"out", "bytes"});
  const json back = figures(run({"tokenizer", "decode", "--tokenizer", "t.json", "--in", "ids",
                                 "--out", "text", "--json"}),
                            {"out", "tokens"});
  EXPECT_EQ(ids["tokens"], back["tokens"]);
  EXPECT_EQ(ids["bytes"], back["bytes"]);
  auto to_stdout = encode;
  to_stdout.push_back("-");
  expect_error(run(to_stdout), 2, {"--json", "stdout", "--out"});
}

TEST_F(CommandLine, EvalTakesTheNewestCheckpointOfARunThatWasStopped) {
  const std::string set = "train.steps=1000000";
  const std::vector<std::string> eval = {"eval",  "tiny.yaml", "--out",  "out",
                                         "--set", set,         "--json", "--quiet"};
  expect_error(run(eval), 3, {"out/checkpoints", "train first"});
  const auto program = start(train_line("out", {"--set", set}));
  ASSERT_TRUE(program->wait_until([&] { return checkpoints("out").size() == 2; }));
  program->send(SIGTERM);
  ASSERT_EQ(program->wait().code, 75);
  const std::string newest = fmt::format("step-{}", metrics("out").back().step);
  EXPECT_EQ(figures(run(eval), {"model", "tasks"})["model"], "out/checkpoints/" + newest);
}

TEST_F(CommandLine, GenerateSaysTheSameAloneAndBesideOthersAndWithItsSeedAgain) {
  trained("out", {"--set", "train.steps=20"});
  const std::string model = "out/checkpoints/step-20";
  const Outcome alone = run({"generate", "--model", model, "--prompt", "Ara colour: "});
  const Outcome beside =
      run({"generate", "--model", model, "--prompt", "Ara colour: ", "Bra mass: ", "C"});
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(beside.out, StartsWith(alone.out));
  const auto draw = [&](const char* seed) {
    return run({"generate", "--model", model, "--prompt", "Ara", "--temperature", "1.5", "--seed",
                seed})
        .out;
  };
  EXPECT_EQ(draw("3"), draw("3"));
  EXPECT_NE(draw("3"), draw("4"));
}

TEST_F(CommandLine, AnExportIsReadBackWithTheSameLogits) {
  trained("out", {"--set", "train.steps=6", "--set", "model.dtype=fp32"});
  const std::string checkpoint = "out/checkpoints/step-6";
  expect_error(run({"export", "--checkpoint", checkpoint, "--to", "hf"}), 0, {});
  expect_error(run({"import", "--from", "hf", "--to", "back"}), 0, {});
  file("ids.txt", "1 2 3 50 60 7");
  for (const std::string& model : {checkpoint, std::string("hf"), std::string("back")})
    expect_error(run({"logits", "--model", model, "--ids", "ids.txt", "--to",
                      file_name(model) + ".safetensors"}),
                 0, {});
  EXPECT_EQ(read("hf.safetensors"), read("step-6.safetensors"));
  EXPECT_EQ(read("back.safetensors"), read("step-6.safetensors"));
  expect_error(run({"export", "--checkpoint", checkpoint, "--to", "hf"}), 2, {"hf exists"});
}

TEST_F(CommandLine, TextGoesToIdsAndBackByteForByte) {
  const std::string bytes = std::string("Ara \xf0\x9f\xaa\xa8\n\t  two\0 \xff end", 22);
  file("text", bytes);
  expect_error(
      run({"tokenizer", "train", "--in", "stones.csv", "--out", "t.json", "--vocab", "300"}), 0,
      {});
  expect_error(
      run({"tokenizer", "encode", "--tokenizer", "t.json", "--in", "text", "--out", "ids"}), 0, {});
  expect_error(
      run({"tokenizer", "decode", "--tokenizer", "t.json", "--in", "ids", "--out", "back"}), 0, {});
  EXPECT_EQ(read("back"), bytes);
}

}  // namespace
}  // namespace boreal::stories
