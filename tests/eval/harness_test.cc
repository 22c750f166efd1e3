#include "eval/harness.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/eval/bigram.h"

namespace boreal::eval {
namespace {

constexpr double kNear = 1e-5;

// Says "abc" and a line break, "de" and the end of the text, and "fff..." for ever.
Bigram speaker() {
  return Bigram({{'a', "b"}, {'b', "c"}, {'c', "\n"}, {'d', "e"}, {'e', ""}, {'f', "f"}});
}

Item recall(const std::string& bundle, const std::string& prompt, const std::string& answer,
            double commonest) {
  return {.task = "recall",
          .bundle = bundle,
          .prompt = prompt,
          .answer = answer,
          .commonest = commonest};
}
Item choice(const std::string& prompt, const std::vector<std::string>& choices,
            std::size_t answer) {
  return {.task = "choice",
          .bundle = "B",
          .prompt = prompt,
          .answer = choices[answer],
          .choices = choices,
          .answer_index = answer};
}

Evaluation evaluated(Bigram& model, const std::vector<Item>& items) {
  infer::Engine engine = model.engine();
  auto result = evaluate(engine, model.limits(), model.tokenizer(), items);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return std::move(result).value();
}

void expect_score(const Score& score, const Score& expected) {
  EXPECT_EQ(score.task, expected.task);
  EXPECT_EQ(score.bundle, expected.bundle);
  EXPECT_EQ(score.items, expected.items);
  EXPECT_NEAR(score.value, expected.value, 1e-12);
  EXPECT_NEAR(score.standard_error, expected.standard_error, 1e-12);
  EXPECT_NEAR(score.chance, expected.chance, 1e-12);
}

TEST(Harness, RecallIsRightOnlyWhereTheAnswerIsWholeAndThenEnds) {
  Bigram model = speaker();
  const Evaluation e = evaluated(
      model, {recall("A", "a", "bc", 0.5), recall("A", "xd", "e", 0.25), recall("B", "a", "b", 0),
              recall("B", "a", "bd", 0), recall("B", "f", "ff", 0.5)});
  ASSERT_EQ(e.answers.size(), 5U);
  const auto expect = [&](std::size_t i, bool right, const std::string& given) {
    EXPECT_EQ(e.answers[i].right, right) << i;
    EXPECT_EQ(e.answers[i].given, given) << i;
  };
  expect(0, true, "bc");
  expect(1, true, "e");
  expect(2, false, "bc");   // goes on behind the answer
  expect(3, false, "bc");   // up to the first difference
  expect(4, false, "fff");  // never ends
  EXPECT_NEAR(e.answers[0].log_probability, 2 * model.log_probability_of_next(), kNear);
  EXPECT_NEAR(e.answers[3].log_probability,
              model.log_probability_of_next() + model.log_probability_of_other(), kNear);
}

TEST(Harness, AShownAnswerIsWhatTheModelSaysToItsEndAndOthersAreCutBehindTheFirstWrongToken) {
  Bigram model = speaker();
  std::vector<Item> items(8, recall("A", "a", "xyz", 0));
  items[2].prompt = "f";
  items[4].answer = "bc";
  const Evaluation e = evaluated(model, items);
  EXPECT_THAT(shown_answers(e.answers, "recall"), testing::ElementsAre(0, 2, 4, 6));
  EXPECT_TRUE(shown_answers(e.answers, "choice").empty());
  const auto expect = [&](std::size_t i, const std::string& given, bool cut) {
    EXPECT_EQ(e.answers[i].given, given) << i;
    EXPECT_EQ(e.answers[i].cut, cut) << i;
  };
  expect(0, "bc", false);
  expect(1, "b", true);
  expect(2, std::string(16, 'f'), true);  // until the model takes no more
  expect(4, "bc", false);
  expect(6, "bc", false);
  EXPECT_TRUE(e.answers[4].right);
  EXPECT_FALSE(e.answers[6].right) << "the score is as it was";
}

TEST(Harness, ScoresStandardErrorsAndChanceByTaskAndBundle) {
  Bigram model = speaker();
  const Evaluation e = evaluated(
      model, {recall("A", "a", "bc", 0.5), choice("a", {"b", "x"}, 0), recall("B", "a", "b", 0.1),
              recall("A", "xd", "e", 0.25), choice("a", {"xx", "bc", "q", "r"}, 0),
              recall("B", "a", "bd", 0), recall("B", "f", "ff", 0.4)});
  ASSERT_EQ(e.scores.size(), 5U);
  // Two of five right: sqrt(0.4 * 0.6 / 4); chance is the mean over the items.
  expect_score(e.scores[0], {"recall", "all", 5, 0.4, std::sqrt(0.06), 0.25});
  expect_score(e.scores[1], {"recall", "A", 2, 1, 0, 0.375});
  expect_score(e.scores[2], {"recall", "B", 3, 0, 0, 0.5 / 3});
  // One of two: sqrt(0.5 * 0.5 / 1); chance of one in two and one in four.
  expect_score(e.scores[3], {"choice", "all", 2, 0.5, 0.5, 0.375});
  expect_score(e.scores[4], {"choice", "B", 2, 0.5, 0.5, 0.375});
}

TEST(Harness, AChoiceIsTheOneOfTheGreatestLikelihoodAndTheFirstOfEquals) {
  Bigram model = speaker();
  const Evaluation e = evaluated(model, {choice("a", {"x", "b"}, 1), choice("a", {"b", "bc"}, 1),
                                         choice("x", {"q", "r"}, 0), choice("x", {"q", "r"}, 1)});
  EXPECT_EQ(e.answers[0].given, "b");
  EXPECT_TRUE(e.answers[0].right);
  EXPECT_NEAR(e.answers[0].log_probability, model.log_probability_of_next(), kNear);
  // The sum, not the mean: the shorter one is likelier.
  EXPECT_EQ(e.answers[1].given, "b");
  EXPECT_FALSE(e.answers[1].right);
  EXPECT_NEAR(e.answers[1].log_probability, 2 * model.log_probability_of_next(), kNear);
  EXPECT_TRUE(e.answers[2].right);
  EXPECT_FALSE(e.answers[3].right);
  EXPECT_NEAR(e.answers[3].log_probability, model.log_probability_of_any(), kNear);
}

TEST(Harness, AnItemLongerThanTheModelIsRefusedByNameAndBothLengths) {
  Bigram model = speaker();
  infer::Engine engine = model.engine();
  const auto result = evaluate(engine, model.limits(), model.tokenizer(),
                               {recall("A", "a", std::string(16, 'b'), 0)});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(exit_code(result.error().kind), 3);
  EXPECT_THAT(result.error().message, testing::HasSubstr("17 tokens, the model takes 16"));
}

TEST(Harness, MeanLossCountsWeightedTargetsAndKeepsDocumentsApart) {
  Bigram model = speaker();
  infer::Engine engine = model.engine();
  const auto ids = [&](const std::string& text) {
    const auto all = model.tokenizer().encode(text);
    return std::vector<std::int32_t>(all.begin(), all.end());
  };
  const tokens::Batch batch{.rows = 1,
                            .sequence = 4,
                            .input = ids("abcx"),
                            .target = ids("bd\nq"),
                            .weight = {1, 1, 0, 1},
                            .position = {0, 1, 2, 0},
                            .doc_begin = {0, 0, 0, 3}};
  const double expected = -(model.log_probability_of_next() + model.log_probability_of_other() +
                            model.log_probability_of_any()) /
                          3;
  EXPECT_NEAR(mean_loss(engine, {batch}), expected, kNear);
  EXPECT_NEAR(mean_loss(engine, {batch, batch}), expected, kNear);
  EXPECT_TRUE(std::isnan(mean_loss(engine, {})));
}

TEST(Harness, ResultsAreWrittenAsTheyWereMeasured) {
  Bigram model = speaker();
  const Evaluation e = evaluated(model, {recall("A", "a", "bc", 0.5), recall("A", "a", "b", 0.25)});
  Env& env = Env::real();
  const std::string folder = testing::TempDir() + "boreal_eval_results";
  ASSERT_TRUE(write_results(env, folder, e, 7.5, "some/model").ok());
  const auto results =
      nlohmann::json::parse(env.read_file(join_path(folder, "results.json")).value());
  EXPECT_EQ(results["model"], "some/model");
  EXPECT_EQ(results["validation_perplexity"], 7.5);
  const auto& all = results["tasks"]["recall"]["all"];
  EXPECT_EQ(all["items"], 2);
  EXPECT_EQ(all["value"], 0.5);
  EXPECT_EQ(all["standard_error"], 0.5);
  EXPECT_EQ(all["chance"], 0.375);
  const std::string lines = env.read_file(join_path(folder, "samples.jsonl")).value();
  const auto first = nlohmann::json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(first["given"], "bc");
  EXPECT_EQ(first["right"], true);
  EXPECT_EQ(std::ranges::count(lines, '\n'), 2);
  EXPECT_FALSE(
      nlohmann::json::parse(results_json(e, std::nan(""), "m")).contains("validation_perplexity"));
  ASSERT_TRUE(env.remove_all(folder).ok());
}

}  // namespace
}  // namespace boreal::eval
