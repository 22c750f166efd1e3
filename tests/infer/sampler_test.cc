#include "infer/sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "base/philox.h"

namespace boreal::infer {
namespace {

constexpr int kDraws = 20000;

// Probabilities 0.4, 0.3, 0.2, 0.1 of ids 2, 0, 3, 1.
std::vector<float> four() {
  std::vector<float> logits;
  for (const double p : {0.3, 0.1, 0.4, 0.2}) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::map<std::int32_t, double> draw(const std::vector<float>& logits, const Sampling& sampling) {
  const Rng rng(sampling.seed, "draws");
  std::map<std::int32_t, int> counted;
  for (std::uint64_t i = 0; i < kDraws; ++i) ++counted[sample(logits, sampling, rng.uniform(i))];
  std::map<std::int32_t, double> shares;
  for (const auto& [id, count] : counted) shares[id] = static_cast<double>(count) / kDraws;
  return shares;
}

// Within four standard errors of each expected share; an id that is not expected is never drawn.
void expect_shares(const Sampling& sampling, const std::map<std::int32_t, double>& expected) {
  const auto found = draw(four(), sampling);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [id, share] : expected)
    EXPECT_NEAR(found.at(id), share, 4 * std::sqrt(share * (1 - share) / kDraws)) << "id " << id;
}

TEST(Sampler, TemperatureOneDrawsTheDistributionItself) {
  expect_shares({.temperature = 1}, {{2, 0.4}, {0, 0.3}, {3, 0.2}, {1, 0.1}});
}

TEST(Sampler, TemperatureHalfSquaresTheProbabilities) {
  const double sum = 0.16 + 0.09 + 0.04 + 0.01;
  expect_shares({.temperature = 0.5},
                {{2, 0.16 / sum}, {0, 0.09 / sum}, {3, 0.04 / sum}, {1, 0.01 / sum}});
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  expect_shares({.temperature = 1, .top_k = 2}, {{2, 4.0 / 7}, {0, 3.0 / 7}});
  expect_shares({.temperature = 1, .top_k = 1}, {{2, 1.0}});
  expect_shares({.temperature = 1, .top_k = 99}, {{2, 0.4}, {0, 0.3}, {3, 0.2}, {1, 0.1}});
}

TEST(Sampler, TopPKeepsTheSmallestSetThatHoldsIt) {
  expect_shares({.temperature = 1, .top_p = 0.65}, {{2, 4.0 / 7}, {0, 3.0 / 7}});
  expect_shares({.temperature = 1, .top_p = 0.75}, {{2, 4.0 / 9}, {0, 3.0 / 9}, {3, 2.0 / 9}});
  // At least one token stays, even at 0.
  expect_shares({.temperature = 1, .top_p = 0}, {{2, 1.0}});
}

TEST(Sampler, TopPCountsAmongWhatTopKLeft) {
  expect_shares({.temperature = 1, .top_k = 2, .top_p = 0.5}, {{2, 1.0}});
}

TEST(Sampler, GreedyAndTiesGoToTheLowestId) {
  const std::vector<float> tied = {0.5F, 2.0F, 2.0F, 2.0F, -1.0F};
  EXPECT_EQ(greedy(tied), 1);
  EXPECT_EQ(sample(tied, {.temperature = 0}, 0.99), 1);
  EXPECT_EQ(sample(tied, {.temperature = 1, .top_k = 1}, 0.99), 1);
  std::set<std::int32_t> drawn;
  for (int i = 0; i < 100; ++i)
    drawn.insert(sample(tied, {.temperature = 1, .top_k = 2}, i / 100.0));
  EXPECT_EQ(drawn, (std::set<std::int32_t>{1, 2}));
}

TEST(Sampler, TheSameNumberGivesTheSameTokenAndTheEdgesStayInside) {
  const auto logits = four();
  const Sampling sampling{.temperature = 0.8, .top_k = 3, .top_p = 0.99};
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(sample(logits, sampling, i / 100.0), sample(logits, sampling, i / 100.0));
  EXPECT_EQ(sample(logits, {.temperature = 1}, 0), 2);
  EXPECT_EQ(sample(logits, {.temperature = 1}, std::nextafter(1.0, 0.0)), 1);
}

TEST(Sampler, HugeLogitsAndMinusInfinityDoNotOverflow) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {3e38F, -inf, 3e38F, -3e38F};
  EXPECT_NEAR(log_probability(logits, 0), std::log(0.5), 1e-12);
  EXPECT_EQ(log_probability(logits, 1), -std::numeric_limits<double>::infinity());
  for (int i = 0; i < 50; ++i)
    EXPECT_THAT(sample(logits, {.temperature = 1}, i / 50.0), testing::AnyOf(0, 2));
}

TEST(Sampler, LogProbabilityIsTheLogOfSoftmax) {
  const auto logits = four();
  EXPECT_NEAR(log_probability(logits, 2), std::log(0.4), 1e-6);
  EXPECT_NEAR(log_probability(logits, 1), std::log(0.1), 1e-6);
}

}  // namespace
}  // namespace boreal::infer
