// What is done with a model on many ranks, and with one that many ranks wrote, gives what one rank
// gives.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/stories/ranks.h"

namespace boreal::stories {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr Ranks kSquare = {.count = 4, .shard = 2, .tp = 2};
constexpr Ranks kThreadPair = {.count = 2, .tp = 2};
constexpr Ranks kPair = {.count = 2, .mpi = true, .tp = 2};

class RanksUse : public RanksStory {
 protected:
  // A model that four ranks wrote.
  void SetUp() override {
    RanksStory::SetUp();
    trained_on(kSquare, "out", fp32);
  }

  std::vector<std::string> spec_line(const std::string& verb, const std::string& out) const {
    std::vector<std::string> line = {verb, "tiny.yaml", "--quiet", "--json", "--out", out};
    line.insert(line.end(), fp32.begin(), fp32.end());
    return line;
  }
  // A verb that starts from a model's folder, in a world of ranks that share each layer.
  Outcome ask(const Ranks& ranks, std::vector<std::string> line) {
    if (ranks.count > 1) line.insert(line.end(), {"--world", ranks.world()});
    return start(line, ranks.mpi ? mpirun(ranks.count) : std::vector<std::string>{})->wait();
  }
  // The figures of the last line.
  static json figures(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    expect_said_once(outcome.out);
    expect_said_once(outcome.err);
    const std::string text = outcome.out.substr(0, outcome.out.size() - 1);
    json parsed = json::parse(text.substr(text.rfind('\n') + 1), nullptr, false);
    EXPECT_TRUE(parsed.is_object()) << outcome.out;
    return parsed;
  }
  // Numbers to rounding, all else as it is.
  static void expect_near(const json& ours, const json& theirs, const std::string& where) {
    if (ours.is_number() && theirs.is_number()) {
      const double wanted = theirs.get<double>();
      EXPECT_NEAR(ours.get<double>(), wanted, 1e-5 * std::abs(wanted) + 1e-9) << where;
      return;
    }
    ASSERT_EQ(ours.size(), theirs.size()) << where;
    if (!ours.is_structured()) {
      EXPECT_EQ(ours, theirs) << where;
      return;
    }
    for (const auto& [key, value] : ours.items())
      expect_near(value, ours.is_object() ? theirs.at(key) : theirs.at(std::stoul(key)),
                  fmt::format("{}/{}", where, key));
  }
  std::vector<float> logits(const Ranks& ranks, const std::string& model) {
    file("ids.txt", "1 2 3 5 8 13 21 34 55 89 144 233 7 7 7");
    const Outcome outcome =
        ask(ranks, {"logits", "--model", model, "--ids", "ids.txt", "--to", "l.safetensors"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::string bytes = read("l.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::vector<float> values((bytes.size() - 8 - header) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + 8 + header, values.size() * sizeof(float));
    EXPECT_EQ(values.size(), 15U * 300U);
    return values;
  }

  std::vector<std::string> fp32 = {"--set", "model.dtype=fp32", "--set", "train.steps=35"};
};

TEST_F(RanksUse, EvaluationOnManyRanksIsThatOfOne) {
  const json alone = figures(run(spec_line("eval", "out")));
  const std::string samples = read("out/samples.jsonl");
  EXPECT_FALSE(samples.empty());
  // Other rows on each rank, and the same arithmetic.
  const Ranks rows = {.count = 2, .mpi = has_mpirun(), .shard = 2};
  EXPECT_EQ(figures(run_on(rows, spec_line("eval", "out"))), alone);
  EXPECT_EQ(read("out/samples.jsonl"), samples);
  expect_near(figures(run_on(kThreadPair, spec_line("eval", "out"))), alone, "tp");
  expect_near(figures(run_on(kSquare, spec_line("eval", "out"))), alone, "dp_shard x tp");
  const auto of_model = [&](const Ranks& ranks) {
    return figures(ask(ranks, {"eval", "--json", "--quiet", "--model", "out", "--tasks",
                               "out/eval/recall_seen.jsonl"}));
  };
  expect_near(of_model(kThreadPair), of_model({}), "eval --model");
}

TEST_F(RanksUse, GeneratedTextAndLogitsOfManyRanksAreThoseOfOne) {
  // And of a model whose ranks share a key head.
  trained_on(kThreadPair, "shared",
             {"--set", "model.dtype=fp32", "--set", "train.steps=14", "--set", "model.kv_heads=1"});
  for (const char* model : {"out", "shared"}) {
    const auto complete = [&](const Ranks& ranks) {
      const Outcome outcome = ask(ranks, {"generate", "--model", model, "--prompt", "mass of Ara",
                                          "Bra", "--max-tokens", "12"});
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      return outcome.out;
    };
    const std::string text = complete({});
    EXPECT_THAT(text, HasSubstr("mass of Ara"));
    EXPECT_EQ(complete(kThreadPair), text);
    const std::vector<float> alone = logits({}, model);
    const std::vector<float> threads = logits(kThreadPair, model);
    float largest = 0;
    for (const float value : alone) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < alone.size(); ++i)
      ASSERT_NEAR(threads[i], alone[i], 1e-5 * largest) << model;
    if (!has_mpirun()) continue;
    EXPECT_EQ(complete(kPair), text);
    EXPECT_TRUE(logits(kPair, model) == threads) << model;
  }
  expect_one_error(ask({.count = 4}, {"generate", "--model", "out", "--prompt", "a"}), 2,
                   {"mesh.tp is 4", "model.heads (2)"});
}

TEST_F(RanksUse, AModelThatFourRanksWroteIsExportedAsItIsRead) {
  ASSERT_EQ(run({"export", "--checkpoint", "out", "--to", "hf"}).code, 0);
  ASSERT_EQ(run({"import", "--from", "hf", "--to", "imported"}).code, 0);
  const std::vector<float> direct = logits({}, "out");
  EXPECT_TRUE(logits({}, "hf") == direct);
  EXPECT_TRUE(logits({}, "imported") == direct);
  EXPECT_TRUE(logits(kThreadPair, "imported") == logits(kThreadPair, "out"));
}

TEST_F(RanksUse, ARecipeRunsOnManyRanksAndItsReportIsThere) {
  const std::vector<std::string> prompt = {"--set", "eval.prompts=['mass of Ara']"};
  const auto ran = [&](const Ranks& ranks, const std::string& out) {
    std::vector<std::string> line = spec_line("run", out);
    line.insert(line.end(), prompt.begin(), prompt.end());
    json all = figures(run_on(ranks, line));
    EXPECT_TRUE(env.exists(path(out + "/report.html")));
    for (const char* own : {"wall_s", "train_s", "peak_rss_bytes", "report"}) all.erase(own);
    return all;
  };
  const json threads = ran(kSquare, "threads");
  // Finished stages are skipped, and tell the same.
  EXPECT_EQ(ran(kSquare, "threads"), threads);
  expect_near(ran({}, "alone"), threads, "one rank");
  NEEDS_MPIRUN();
  EXPECT_EQ(ran({.count = 4, .mpi = true, .shard = 2, .tp = 2}, "mpi"), threads);
  expect_same_run("mpi", "threads");
}

TEST_F(RanksUse, PrepOnAnyNumberOfRanksWritesTheFilesOfOne) {
  // More tables than ranks, and fewer.
  file("more.csv", "name,mass (g)\nUna,3\nUno,4\nUnu,5\n");
  for (const char* sources :
       {"[{table: stones.csv}]", "[{table: stones.csv}, {table: more.csv}]"}) {
    const std::vector<std::string> line = {
        "prep", "tiny.yaml", "--quiet", "--set", std::string("data.sources=") + sources, "--out"};
    const auto prepared = [&](const Ranks& ranks, const std::string& out) {
      std::vector<std::string> words = line;
      words.push_back(out);
      const Outcome outcome = ask(ranks, words);
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      expect_said_once(outcome.out);
      for (const char* folder : {"shards/stones", "tokenizer", "eval"})
        expect_same_files(out + "/" + folder, "one/" + std::string(folder));
      EXPECT_TRUE(read(out + "/prep.json") == read("one/prep.json"));
      ASSERT_TRUE(env.remove_all(path(out)).ok());
    };
    ASSERT_EQ(run({line[0], line[1], line[2], line[3], line[4], "--out", "one"}).code, 0);
    prepared({.count = 3}, "three");
    if (has_mpirun()) prepared({.count = 3, .mpi = true}, "three");
    ASSERT_TRUE(env.remove_all(path("one")).ok());
  }
}

}  // namespace
}  // namespace boreal::stories
