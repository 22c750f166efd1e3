#include "tokens/blend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/philox.h"

namespace boreal::tokens {
namespace {

using testing::ElementsAre;

// The largest distance of any source from its share in any prefix of n samples, shares being
// `weights` over their sum. Checks on the way that the samples of each source count up from 0.
double largest_distance(const Blend& blend, const std::vector<double>& weights, std::int64_t n) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> counts(weights.size(), 0);
  double largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const Blend::Draw draw = blend.draw(i);
    EXPECT_EQ(draw.sample, counts[draw.source]);
    ++counts[draw.source];
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const double share = static_cast<double>(i + 1) * weights[s] / sum;
      largest = std::max(largest, std::abs(static_cast<double>(counts[s]) - share));
    }
  }
  return largest;
}

// The same rule, spelled out: at each slot look at every source.
std::vector<std::size_t> slow_schedule(const std::vector<std::int64_t>& quotas) {
  const std::int64_t period = std::accumulate(quotas.begin(), quotas.end(), std::int64_t{0});
  const auto m = std::max<std::int64_t>(2 * static_cast<std::int64_t>(quotas.size()) - 2, 1);
  std::vector<std::int64_t> counts(quotas.size(), 0);
  std::vector<std::size_t> schedule;
  for (std::int64_t n = 1; n <= period; ++n) {
    std::size_t best = quotas.size();
    for (std::size_t i = 0; i < quotas.size(); ++i) {
      if ((n * quotas[i] - period * counts[i]) * m < period) continue;
      const auto due = [&](std::size_t s) { return period * (m - 1) + period * counts[s] * m; };
      if (best == quotas.size() || due(i) * quotas[best] < due(best) * quotas[i]) best = i;
    }
    schedule.push_back(best);
    ++counts[best];
  }
  return schedule;
}

TEST(Blend, KeepsEverySourceWithinOneSampleInEveryPrefixForAllSmallWholeWeights) {
  for (int a = 1; a <= 5; ++a)
    for (int b = 1; b <= 5; ++b)
      for (int c = 1; c <= 5; ++c)
        for (int d = 0; d <= 5; ++d) {
          std::vector<double> weights = {1.0 * a, 1.0 * b, 1.0 * c};
          if (d > 0) weights.push_back(d);
          const Blend blend = *Blend::create(weights);
          const double bound = 1 - 1 / (2 * static_cast<double>(weights.size()) - 2) + 1e-9;
          ASSERT_LE(largest_distance(blend, weights, 2 * (a + b + c + d) + 3), bound)
              << a << " " << b << " " << c << " " << d;
        }
}

TEST(Blend, KeepsEverySourceWithinOneSampleInEveryPrefixForRandomWeights) {
  const Rng rng(7, "weights");
  std::uint64_t draws = 0;
  for (std::size_t sources = 1; sources <= 12; ++sources) {
    std::vector<double> weights(sources);
    for (double& weight : weights) weight = std::exp(6 * rng.uniform(draws++));
    const Blend blend = *Blend::create(weights);
    EXPECT_LT(largest_distance(blend, weights, 5000), 1.0) << sources << " sources";
  }
}

TEST(Blend, FollowsTheRuleSpelledOutSlowly) {
  const Rng rng(8, "weights");
  std::uint64_t draws = 0;
  for (std::size_t sources = 2; sources <= 9; ++sources) {
    std::vector<double> weights(sources);
    for (double& weight : weights) weight = 1 + static_cast<double>(rng.bits(draws++) % 40);
    const Blend blend = *Blend::create(weights);
    const auto expected = slow_schedule(blend.quotas());
    for (std::size_t n = 0; n < expected.size(); ++n)
      ASSERT_EQ(blend.draw(static_cast<std::int64_t>(n)).source, expected[n]);
  }
}

TEST(Blend, GivesTheOrderThatRunsRelyOn) {
  const Blend blend = *Blend::create(std::vector<double>{0.5, 0.3, 0.2});
  EXPECT_EQ(blend.period(), 10);
  EXPECT_THAT(blend.quotas(), ElementsAre(5, 3, 2));
  std::string order;
  for (std::int64_t n = 0; n < 20; ++n) order += "abc"[blend.draw(n).source];
  EXPECT_EQ(order, "abacabacbaabacabacba");
}

TEST(Blend, IsTheSameFarOutAsFromTheStart) {
  const Blend blend = *Blend::create(std::vector<double>{1, 2.5, 0.3});
  const std::int64_t period = blend.period();
  EXPECT_EQ(period, 38);
  for (std::int64_t n = 0; n < period; ++n) {
    const Blend::Draw near = blend.draw(n);
    const Blend::Draw far = blend.draw(n + 1'000'000'000'000 * period);
    EXPECT_EQ(near.source, far.source);
    EXPECT_EQ(far.sample, near.sample + 1'000'000'000'000 * blend.quotas()[near.source]);
  }
}

TEST(Blend, CountsTheDrawsBeforeASample) {
  const Blend blend = *Blend::create(std::vector<double>{3, 1, 7});
  std::vector<std::int64_t> counts(3, 0);
  for (std::int64_t n = 0; n < 40; ++n) {
    for (std::size_t s = 0; s < 3; ++s) ASSERT_EQ(blend.count_before(s, n), counts[s]);
    ++counts[blend.draw(n).source];
  }
}

TEST(Blend, OfThousandsOfSourcesIsMadeInTime) {
  std::vector<double> weights(2419);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 1 / static_cast<double>(i + 1);
  const Blend blend = *Blend::create(weights);
  std::vector<std::int64_t> counts(weights.size(), 0);
  for (std::int64_t n = 0; n < blend.period(); ++n) ++counts[blend.draw(n).source];
  EXPECT_EQ(counts, blend.quotas());
}

TEST(Blend, RefusesWeightsThatMakeNoShare) {
  const double nan = std::nan("");
  for (const std::vector<double>& weights : {std::vector<double>{},
                                             {0.0},
                                             {1, -1},
                                             {1, nan},
                                             {1, INFINITY},
                                             {1, 1e-9},
                                             {1e308, 1e308}}) {
    const auto blend = Blend::create(weights);
    ASSERT_FALSE(blend.ok());
    EXPECT_EQ(blend.error().kind, ErrorKind::usage);
  }
}

}  // namespace
}  // namespace boreal::tokens
