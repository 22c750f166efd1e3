// A document's logits do not depend on what surrounds it, bit for bit.
#include "infer/engine.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tests/infer/rig.h"

namespace boreal::infer {
namespace {

constexpr std::int64_t kThreadCounts[] = {1, 2};

bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

void expect_same(const std::vector<Prediction>& a, const std::vector<Prediction>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(same_bits(a[i].log_probability, b[i].log_probability)) << "position " << i;
    EXPECT_EQ(a[i].greedy, b[i].greedy) << "position " << i;
  }
}

void expect_same(const Completion& a, const Completion& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.stopped, b.stopped);
  ASSERT_EQ(a.log_probabilities.size(), b.log_probabilities.size());
  for (std::size_t i = 0; i < a.log_probabilities.size(); ++i)
    EXPECT_TRUE(same_bits(a.log_probabilities[i], b.log_probabilities[i])) << "token " << i;
}

using kernels::WeightFormat;

class SameBits : public testing::TestWithParam<std::tuple<const char*, DType, WeightFormat>> {
 protected:
  Rig rig(std::int64_t threads) const {
    return {std::get<0>(GetParam()), std::get<1>(GetParam()), threads, std::get<2>(GetParam())};
  }
  static Sequence sequence(const Rig& rig, const std::string& name, std::int64_t count) {
    return {.input = rig.ids(name, count), .target = rig.ids(name + " target", count)};
  }
};

TEST_P(SameBits, LogitsWholeInPiecesTokenByTokenAndWithOneOrTwoThreads) {
  std::vector<float> first;
  for (const std::int64_t threads : kThreadCounts) {
    Rig here = rig(threads);
    Engine engine = here.engine({.sequences = 2, .capacity = 64, .rows = 64});
    const auto ids = here.ids("document", 41);
    const std::vector<float> whole = engine.all_logits(ids, 0);
    ASSERT_EQ(whole.size(), ids.size() * static_cast<std::size_t>(here.config().vocab));
    if (first.empty()) first = whole;
    EXPECT_EQ(std::memcmp(first.data(), whole.data(), whole.size() * sizeof(float)), 0);
    for (const std::int64_t piece : {1, 3, 7, 40, 41}) {
      const std::vector<float> cut = engine.all_logits(ids, piece);
      ASSERT_EQ(cut.size(), whole.size());
      EXPECT_EQ(std::memcmp(cut.data(), whole.data(), whole.size() * sizeof(float)), 0)
          << "pieces of " << piece << ", threads " << threads;
    }
  }
  const auto [low, high] = std::ranges::minmax(first);
  EXPECT_GT(high - low, 0.1F) << "logits that are all alike prove nothing";
}

TEST_P(SameBits, PredictionsAloneInABatchOfSevenAndOfThirtyTwoAndPackedBehindAnother) {
  std::vector<Prediction> first;
  for (const std::int64_t threads : kThreadCounts) {
    Rig here = rig(threads);
    Engine engine = here.engine({.sequences = 1, .capacity = 64, .rows = 256});
    const Sequence mine = sequence(here, "mine", 29);
    const std::vector<Prediction> alone = engine.predict({{mine}}).front();
    if (first.empty()) first = alone;
    expect_same(alone, first);

    const Sequence other = sequence(here, "other", 13);
    expect_same(engine.predict({{other, mine}})[1], alone);
    for (const std::int64_t count : {7, 32}) {
      std::vector<Sequence> many;
      for (std::int64_t i = 0; i < count; ++i)
        many.push_back(i == 4 ? mine : sequence(here, fmt::format("other {}", i), 11 + 5 * i % 31));
      expect_same(engine.predict(many)[4], alone);
      // In passes so short that they do not fit one.
      Engine narrow = here.engine({.sequences = 1, .capacity = 64, .rows = 43});
      expect_same(narrow.predict(many)[4], alone);
    }
  }
}

TEST_P(SameBits, ACompletionAloneAndBesideSevenOthers) {
  for (const double temperature : {0.0, 0.9}) {
    Completion first;
    for (const std::int64_t threads : kThreadCounts) {
      Rig here = rig(threads);
      const auto request = [&](const std::string& name, std::int64_t count, std::int64_t max) {
        return Request{.prompt = here.ids(name, count),
                       .max_tokens = max,
                       .sampling = {.temperature = temperature, .top_k = 40, .top_p = 0.95}};
      };
      // The draws are keyed by a request's number, so it is the first in each list.
      const Request mine = request("mine", 17, 24);
      Engine wide = here.engine({.sequences = 8, .capacity = 64, .rows = 128});
      const Completion alone = wide.generate({{mine}}).front();
      ASSERT_EQ(alone.tokens.size(), 24U);
      if (first.tokens.empty()) first = alone;
      expect_same(alone, first);

      std::vector<Request> eight = {mine};
      for (std::int64_t i = 1; i < 8; ++i)
        eight.push_back(request(fmt::format("other {}", i), 3 + 4 * i, 5 + 6 * i));
      expect_same(wide.generate(eight)[0], alone);
      // Rows for one token a sequence only: prompts go through in pieces beside the others.
      Engine narrow = here.engine({.sequences = 3, .capacity = 64, .rows = 5});
      expect_same(narrow.generate(eight)[0], alone);
    }
  }
}

TEST_P(SameBits, AGreedyCompletionIsTheArgmaxOfTheWholeSequencesLogits) {
  Rig here = rig(2);
  Engine engine = here.engine({.sequences = 4, .capacity = 64, .rows = 64});
  const auto prompt = here.ids("prompt", 9);
  const Completion completion =
      engine.generate({{Request{.prompt = prompt, .max_tokens = 20}}}).front();
  std::vector<std::int32_t> all = prompt;
  all.insert(all.end(), completion.tokens.begin(), completion.tokens.end());
  const std::vector<float> logits = engine.all_logits(all, 0);
  const auto vocab = static_cast<std::size_t>(here.config().vocab);
  for (std::size_t i = 0; i < completion.tokens.size(); ++i) {
    const std::span<const float> row(logits.data() + (prompt.size() - 1 + i) * vocab, vocab);
    EXPECT_EQ(completion.tokens[i], greedy(row));
    EXPECT_NEAR(completion.log_probabilities[i], log_probability(row, completion.tokens[i]), 1e-5);
  }
}

TEST_P(SameBits, ACompletionWithACachedPrefixAndOutOfASmallCache) {
  Completion first;
  for (const std::int64_t threads : kThreadCounts) {
    Rig here = rig(threads);
    const auto request = [&](std::int64_t same, const std::string& rest, std::int64_t count) {
      Request made{.prompt = here.ids("beginning", same), .max_tokens = 9};
      const auto more = here.ids(rest, count);
      made.prompt.insert(made.prompt.end(), more.begin(), more.end());
      return made;
    };
    const Request mine = request(140, "mine", 17);
    const EngineLimits limits{.sequences = 2, .capacity = 192, .rows = 100, .cache_tokens = 448};
    Engine engine = here.engine(limits);
    const Completion alone = engine.generate({{mine}}).front();
    EXPECT_EQ(engine.reused_tokens(), 0);
    if (first.tokens.empty()) first = alone;
    expect_same(alone, first);
    expect_same(engine.generate({{mine}}).front(), alone);
    EXPECT_EQ(engine.reused_tokens(), 128);
    // Behind another that shares two pages of it, in a cache that holds two sequences at most.
    const Request other = request(130, "other", 40);
    Engine another = here.engine(limits);
    const Completion of_other = another.generate({{other}}).front();
    expect_same(another.generate({{mine, other}})[0], alone);
    EXPECT_EQ(another.reused_tokens(), 256);
    // Where one waits for the other's pages.
    Engine narrow = here.engine({.sequences = 4, .capacity = 192, .rows = 64, .cache_tokens = 192});
    const auto three = narrow.generate({{mine, other, mine}});
    expect_same(three[0], alone);
    expect_same(three[1], of_other);
    expect_same(three[2], alone);
  }
}

std::string name_of_case(const testing::TestParamInfo<SameBits::ParamType>& info) {
  return fmt::format("{}_{}_{}", std::get<0>(info.param), name_of(std::get<1>(info.param)),
                     kernels::name_of(std::get<2>(info.param)));
}
INSTANTIATE_TEST_SUITE_P(
    Models, SameBits,
    testing::Combine(testing::Values("llama", "gpt2"), testing::Values(DType::f32, DType::bf16),
                     testing::Values(WeightFormat::plain, WeightFormat::q8_0, WeightFormat::q4_0)),
    name_of_case);

TEST(Engine, ACompletionEndsAtAStopTokenAtMaxTokensOrAtItsCapacity) {
  Rig rig("llama", DType::f32, 1);
  Engine engine = rig.engine({.sequences = 2, .capacity = 32, .rows = 32});
  const auto prompt = rig.ids("prompt", 8);
  const auto free_run = engine.generate({{Request{.prompt = prompt, .max_tokens = 10}}}).front();
  ASSERT_EQ(free_run.tokens.size(), 10U);
  EXPECT_FALSE(free_run.stopped);

  const std::int32_t stop = free_run.tokens[4];
  const auto first = std::ranges::find(free_run.tokens, stop) - free_run.tokens.begin();
  const auto stopped =
      engine.generate({{Request{.prompt = prompt, .max_tokens = 10, .stop = {stop}}}}).front();
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.tokens, std::vector<std::int32_t>(free_run.tokens.begin(),
                                                      free_run.tokens.begin() + first + 1));

  // The last token needs no row in the cache: capacity 32 gives 25 tokens behind a prompt of 8.
  const auto full = engine.generate({{Request{.prompt = prompt, .max_tokens = 1000}}}).front();
  EXPECT_EQ(full.tokens.size(), 25U);
  EXPECT_FALSE(full.stopped);
}

TEST(Engine, ARequestForNoTokensGivesNoneAndAllAreToldAsTheyCome) {
  Rig rig("gpt2", DType::f32, 1);
  Engine engine = rig.engine({.sequences = 2, .capacity = 32, .rows = 8});
  std::vector<Request> requests;
  for (const std::int64_t max : {0, 3, 7})
    requests.push_back({.prompt = rig.ids(fmt::format("p{}", max), 11), .max_tokens = max});
  std::vector<std::vector<std::int32_t>> told(requests.size());
  const auto done = engine.generate(
      requests, [&](std::size_t request, std::int32_t id) { told[request].push_back(id); });
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(static_cast<std::int64_t>(done[i].tokens.size()), requests[i].max_tokens);
    EXPECT_EQ(done[i].tokens, told[i]);
  }
  EXPECT_TRUE(engine.generate({}).empty());
}

TEST(Engine, LogProbabilitiesOfAllTargetsSumToOne) {
  Rig rig("llama", DType::f32, 2);
  Engine engine = rig.engine({.sequences = 1, .capacity = 64, .rows = 202});
  const auto input = rig.ids("input", 2);
  double sum = 0;
  for (std::int32_t id = 0; id < rig.config().vocab; ++id)
    sum += std::exp(
        engine.predict({{Sequence{.input = input, .target = {0, id}}}})[0][1].log_probability);
  EXPECT_NEAR(sum, 1, 1e-5);
}

}  // namespace
}  // namespace boreal::infer
