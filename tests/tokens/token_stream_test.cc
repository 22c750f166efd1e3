#include "tokens/token_stream.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/tokens/shard_fixture.h"

namespace boreal::tokens {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

void append(Batch& whole, const Batch& part) {
  whole.rows += part.rows;
  whole.sequence = part.sequence;
  const auto add = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  add(whole.input, part.input);
  add(whole.target, part.target);
  add(whole.weight, part.weight);
  add(whole.position, part.position);
  add(whole.doc_begin, part.doc_begin);
}

bool same(const Batch& a, const Batch& b) {
  return a.rows == b.rows && a.sequence == b.sequence && a.input == b.input &&
         a.target == b.target && a.weight == b.weight && a.position == b.position &&
         a.doc_begin == b.doc_begin;
}

class TokenStreamTest : public ShardTest {
 protected:
  TokenStream open(const std::vector<StreamSource>& sources, const StreamOptions& options) {
    auto stream = TokenStream::open(env, sources, options);
    EXPECT_TRUE(stream.ok()) << stream.error().message;
    return std::move(stream).value();
  }
  Error error_of(const std::vector<StreamSource>& sources, const StreamOptions& options) {
    auto stream = TokenStream::open(env, sources, options);
    EXPECT_FALSE(stream.ok());
    return stream.ok() ? Error{} : stream.error();
  }
  StreamSource source(const std::string& name, double weight = 1) const {
    return {.name = name, .prefix = at(name), .weight = weight};
  }
  // The global samples [first, first + rows), one a row.
  static Batch samples(const TokenStream& stream, std::int64_t first, std::int64_t rows) {
    Batch all;
    for (std::int64_t n = first; n < first + rows; ++n) append(all, stream.batch(n, {}));
    return all;
  }
};

constexpr StreamOptions kRowAtATime = {.sequence = 5, .batch_sequences = 1};

TEST_F(TokenStreamTest, EachWindowComesExactlyOnceInEachEpoch) {
  feed_counting(at("a"), {13, 1, 40, 7, 25, 17});  // 103 tokens: 20 windows of 5, 3 tokens over
  const TokenStream stream = open({source("a")}, kRowAtATime);
  ASSERT_EQ(stream.epoch_samples(0), 20);
  std::set<std::int32_t> starts;
  std::set<std::vector<std::int32_t>> orders;
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    const Batch batch = samples(stream, epoch * 20, 20);
    const std::set<std::int32_t> seen(batch.input.begin(), batch.input.end());
    EXPECT_EQ(seen.size(), 100U) << "a token came twice in epoch " << epoch;
    for (std::size_t i = 0; i < batch.input.size(); ++i)
      ASSERT_EQ(batch.target[i], (batch.input[i] + 1) % 103);
    std::vector<std::int32_t> order;
    for (std::size_t row = 0; row < 20; ++row) order.push_back(batch.input[row * 5]);
    orders.insert(order);
    starts.insert(*std::ranges::min_element(order));
  }
  EXPECT_EQ(orders.size(), 4U);
  EXPECT_GT(starts.size(), 1U) << "every epoch cuts the same rows";
}

TEST_F(TokenStreamTest, RowsMarkTheirDocumentsAndMaskTheTargetsBetweenThem) {
  const std::vector<std::int64_t> lengths = {3, 1, 0, 9, 4, 6};
  feed_counting(at("a"), lengths);
  std::vector<std::int32_t> document_of;
  for (std::size_t d = 0; d < lengths.size(); ++d)
    document_of.insert(document_of.end(), static_cast<std::size_t>(lengths[d]),
                       static_cast<std::int32_t>(d));
  const TokenStream stream = open({source("a")}, {.sequence = 7, .batch_sequences = 1});
  for (std::int64_t n = 0; n < 30; ++n) {
    const Batch row = stream.batch(n, {});
    for (std::size_t c = 0; c < 7; ++c) {
      const auto document = document_of[static_cast<std::size_t>(row.input[c])];
      std::size_t begin = c;
      while (begin > 0 && document_of[static_cast<std::size_t>(row.input[begin - 1])] == document &&
             row.input[begin - 1] + 1 == row.input[begin])
        --begin;
      EXPECT_EQ(row.doc_begin[c], static_cast<std::int32_t>(begin));
      EXPECT_EQ(row.position[c], static_cast<std::int32_t>(c - begin));
      const bool last =
          row.input[c] == 22 || document_of[static_cast<std::size_t>(row.input[c] + 1)] != document;
      EXPECT_EQ(row.weight[c], last ? 0.0F : 1.0F) << "token " << row.input[c];
    }
  }
}

TEST_F(TokenStreamTest, WithoutTheMaskARowIsOneStretchOfText) {
  feed_counting(at("a"), {3, 4, 3});
  StreamOptions options = kRowAtATime;
  options.document_mask = false;
  const Batch row = open({source("a")}, options).batch(0, {});
  EXPECT_THAT(row.doc_begin, Each(0));
  EXPECT_THAT(row.position, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(row.weight, Each(1.0F));
}

TEST_F(TokenStreamTest, AWeightBelongsToTheTokenAsATarget) {
  TestDocument document;
  for (std::int32_t id = 0; id < 12; ++id) {
    document.ids.push_back(id);
    document.loss.push_back(id % 3 == 0 ? 1 : 0);
  }
  feed(at("a"), {document});
  for (const bool mask : {true, false}) {
    StreamOptions options = kRowAtATime;
    options.document_mask = mask;
    const Batch batch = samples(open({source("a")}, options), 0, 6);
    for (std::size_t i = 0; i < batch.target.size(); ++i) {
      const bool counts = batch.target[i] % 3 == 0 && !(mask && batch.target[i] == 0);
      EXPECT_EQ(batch.weight[i], counts ? 1.0F : 0.0F);
    }
  }
}

class BlendedStreamTest : public TokenStreamTest {
 protected:
  void SetUp() override {
    TokenStreamTest::SetUp();
    feed_counting(at("a"), {13, 1, 40, 7, 25, 17, 90});
    feed_counting(at("b"), {50, 50, 33});
    sources = {
        source("a", 3), source("b", 2), {.name = "noise", .weight = 1, .synthetic_vocab = 77}};
    options = {
        .sequence = 16, .batch_sequences = 12, .seed = 9, .warm_share = 0.3, .warm_steps = 2};
  }
  std::vector<StreamSource> sources;
  StreamOptions options;
};

TEST_F(BlendedStreamTest, AnyNumberOfPartsCutsTheSameBatch) {
  const TokenStream stream = open(sources, options);
  for (const std::int64_t step : {0, 1, 2, 3, 40}) {
    const Batch whole = stream.batch(step, {});
    ASSERT_EQ(whole.rows, 12);
    for (const std::int64_t parts : {2, 3, 4, 6, 12}) {
      Batch joined;
      for (std::int64_t index = 0; index < parts; ++index)
        append(joined, stream.batch(step, {.index = index, .parts = parts}));
      EXPECT_TRUE(same(joined, whole)) << parts << " parts of step " << step;
    }
  }
}

TEST_F(BlendedStreamTest, BatchesOfAnotherSizeRegroupTheSameSamples) {
  const TokenStream twelve = open(sources, options);
  options.batch_sequences = 4;
  options.warm_steps *= 3;
  const TokenStream four = open(sources, options);
  Batch a;
  Batch b;
  for (std::int64_t step = 0; step < 6; ++step) append(a, twelve.batch(step, {}));
  for (std::int64_t step = 0; step < 18; ++step) append(b, four.batch(step, {}));
  EXPECT_TRUE(same(a, b));
}

TEST_F(BlendedStreamTest, ResumedAtStepNGivesTheSameBatchAsAnUnbrokenRun) {
  std::vector<Batch> unbroken;
  {
    const TokenStream stream = open(sources, options);
    for (std::int64_t step = 0; step < 30; ++step) unbroken.push_back(stream.batch(step, {}));
  }
  for (std::int64_t step = 0; step < 30; step += 7) {
    const TokenStream resumed = open(sources, options);
    EXPECT_TRUE(same(resumed.batch(step, {}), unbroken[static_cast<std::size_t>(step)]));
  }
}

TEST_F(BlendedStreamTest, MovedFilesKeepTheirOrderAndAnotherSeedOrNameChangesIt) {
  const Batch batch = open(sources, options).batch(5, {});
  for (const std::string& suffix : shard_suffixes())
    ASSERT_TRUE(env.rename(at("a" + suffix), at("moved" + suffix)).ok());
  sources[0].prefix = at("moved");
  EXPECT_TRUE(same(open(sources, options).batch(5, {}), batch));
  sources[0].name = "other";
  EXPECT_FALSE(same(open(sources, options).batch(5, {}), batch));
  sources[0].name = "a";
  options.seed = 10;
  EXPECT_FALSE(same(open(sources, options).batch(5, {}), batch));
}

TEST_F(BlendedStreamTest, SourcesCountTheirOwnSamplesAndStandWithinOneOfTheirShare) {
  const TokenStream stream = open(sources, options);
  std::vector<std::int64_t> counts(3, 0);
  const std::vector<double> shares = {0.5, 1.0 / 3, 1.0 / 6};
  for (std::int64_t n = 0; n < 500; ++n) {
    const auto draw = stream.draw(n);
    EXPECT_EQ(draw.sample, counts[draw.source]++);
    for (std::size_t s = 0; s < 3; ++s)
      ASSERT_LT(std::abs(static_cast<double>(counts[s]) - static_cast<double>(n + 1) * shares[s]),
                1);
  }
  EXPECT_EQ(stream.total_tokens(), 193 + 133);
  EXPECT_EQ(stream.epoch_samples(1), 133 / 16);
  EXPECT_EQ(stream.epoch_samples(2), 0);
}

TEST_F(BlendedStreamTest, ASyntheticSourceDrawsEvenlyFromItsIdsAndNeverRepeatsARow) {
  const TokenStream stream = open({sources[2]}, options);
  std::vector<int> counts(77, 0);
  std::set<std::vector<std::int32_t>> rows;
  for (std::int64_t step = 0; step < 20; ++step) {
    const Batch batch = stream.batch(step, {});
    EXPECT_THAT(batch.weight, Each(1.0F));
    for (std::int64_t row = 0; row < batch.rows; ++row)
      rows.insert({batch.input.begin() + row * 16, batch.input.begin() + (row + 1) * 16});
    for (const std::int32_t id : batch.input) ++counts.at(static_cast<std::size_t>(id));
  }
  EXPECT_EQ(rows.size(), 240U);
  // 3,840 draws over 77 ids: 50 each, standard deviation 7.
  EXPECT_GT(*std::ranges::min_element(counts), 15);
  EXPECT_LT(*std::ranges::max_element(counts), 95);
}

TEST_F(TokenStreamTest, TheWarmStretchDrawsWholeEpochsFromTheFirstDocumentsOnly) {
  feed_counting(at("a"), {10, 10, 10, 10, 10, 10, 10, 10, 10, 10});
  StreamOptions options = kRowAtATime;
  const TokenStream plain = open({source("a")}, options);
  options.warm_share = 0.2;
  options.warm_steps = 11;
  const TokenStream stream = open({source("a")}, options);
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    const Batch batch = samples(stream, epoch * 4, 4);  // two documents: four windows of five
    const std::set<std::int32_t> seen(batch.input.begin(), batch.input.end());
    EXPECT_EQ(seen.size(), 20U);
    EXPECT_EQ(*seen.rbegin(), 19);
    EXPECT_THAT(batch.target, Each(testing::Lt(20)));
  }
  // Epochs of the whole source begin after it, as if it had not been.
  EXPECT_TRUE(same(samples(stream, 11, 40), samples(plain, 0, 40)));
}

TEST_F(TokenStreamTest, AWarmShareShorterThanARowTakesAsManyDocumentsAsARowNeeds) {
  feed_counting(at("a"), {2, 2, 2, 2, 20, 20});
  StreamOptions options = kRowAtATime;
  options.warm_share = 0.01;
  options.warm_steps = 8;
  const Batch batch = samples(open({source("a")}, options), 0, 8);
  const std::set<std::int32_t> seen(batch.input.begin(), batch.input.end());
  EXPECT_EQ(*seen.rbegin(), 5);
}

TEST_F(TokenStreamTest, ASourceOfExactlyOneRowServesItForEver) {
  feed_counting(at("a"), {5});
  const TokenStream stream = open({source("a")}, kRowAtATime);
  for (std::int64_t step = 0; step < 5; ++step) {
    Batch batch = stream.batch(step, {});
    std::ranges::sort(batch.input);
    EXPECT_THAT(batch.input, ElementsAre(0, 1, 2, 3, 4));
  }
}

TEST_F(TokenStreamTest, EachFlippedByteIsRefusedBeforeTraining) {
  feed(at("a"), {{{1, 2, 3, 4}, {}, R"({"row":1})"}, {{5, 6, 7}, {0, 1, 1}, R"({"row":2})"}});
  for (const std::string& suffix : shard_suffixes()) {
    const std::string whole = *env.read_file(at("a" + suffix));
    for (std::size_t place = 0; place < whole.size(); ++place) {
      for (const int mask : {1, 255}) {
        std::string flipped = whole;
        flipped[place] = static_cast<char>(flipped[place] ^ mask);
        damage(at("a" + suffix), flipped);
        const Error error = error_of({source("a")}, kRowAtATime);
        ASSERT_EQ(error.kind, ErrorKind::refused) << suffix << " byte " << place;
      }
    }
    damage(at("a" + suffix), whole);
  }
  EXPECT_TRUE(TokenStream::open(env, {source("a")}, kRowAtATime).ok());
}

TEST_F(TokenStreamTest, SourcesThatDoNotSuitTheRunAreRefusedWithBothValues) {
  feed(at("a"), {{{1, 2, 3, 4, 5, 60}, {}}});
  StreamOptions options = kRowAtATime;
  options.tokenizer_fingerprint = "beef";
  EXPECT_THAT(error_of({source("a")}, options).message,
              HasSubstr("tokenizer f00d, the run has beef"));
  options.tokenizer_fingerprint = "f00d";
  options.vocab = 60;
  EXPECT_THAT(error_of({source("a")}, options).message,
              HasSubstr("holds id 60, the model's vocabulary ends below 60"));
  options.vocab = 61;
  EXPECT_TRUE(TokenStream::open(env, {source("a")}, options).ok());
  options.sequence = 7;
  const Error error = error_of({source("a")}, options);
  EXPECT_THAT(error.message, HasSubstr("6 tokens, fewer than one row of 7"));
  EXPECT_EQ(error.kind, ErrorKind::refused);
}

TEST_F(TokenStreamTest, OptionsThatMakeNoSenseAreUsageErrors) {
  feed_counting(at("a"), {50});
  const std::vector<StreamSource> good = {source("a")};
  std::vector<std::pair<std::vector<StreamSource>, StreamOptions>> cases;
  for (int i = 0; i < 9; ++i) cases.emplace_back(good, kRowAtATime);
  cases[0].first = {};
  cases[1].first = {source("a"), source("a")};
  cases[2].first[0].weight = 0;
  cases[3].first = {{.name = "noise"}};
  cases[4].second.sequence = 0;
  cases[5].second.batch_sequences = 0;
  cases[6].second.warm_share = 1.5;
  cases[7].second.warm_steps = -1;
  cases[8].first = {{.name = "noise", .synthetic_vocab = 100}};
  cases[8].second.vocab = 99;
  for (std::size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(error_of(cases[i].first, cases[i].second).kind, ErrorKind::usage) << "case " << i;
}

TEST_F(TokenStreamTest, APlainMegatronShardIsTakenWhereAllowedAndItsIdsAreChecked) {
  feed_counting(at("a"), {20});
  for (const char* suffix : {".loss", ".jsonl", ".meta.json"})
    ASSERT_TRUE(env.remove_all(at(std::string("a") + suffix)).ok());
  StreamOptions options = kRowAtATime;
  options.tokenizer_fingerprint = "f00d";
  options.vocab = 20;
  EXPECT_THAT(error_of({source("a")}, options).message, HasSubstr("a.meta.json is missing"));
  StreamSource megatron = source("a");
  megatron.meta_optional = true;
  EXPECT_EQ(open({megatron}, options).total_tokens(), 20);
  options.vocab = 19;
  EXPECT_THAT(error_of({megatron}, options).message, HasSubstr("token 19 is 19"));
}

using TokenStreamDeathTest = TokenStreamTest;

TEST_F(TokenStreamDeathTest, AnImpossibleIdInAShardTooLargeToVerifyStopsTheProgramByName) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  feed(at("a"), {{{1, 2, 3, 4, 5}, {}}});
  std::string bin = *env.read_file(at("a.bin"));
  bin[5] = '\x7f';
  damage(at("a.bin"), bin);
  StreamOptions options = kRowAtATime;
  options.vocab = 4096;
  EXPECT_EQ(error_of({source("a")}, options).kind, ErrorKind::refused);
  options.verify_bytes_max = 0;
  const TokenStream stream = open({source("a")}, options);
  EXPECT_DEATH(stream.batch(0, {}), "a.bin: token 2 is 32515");
}

TEST_F(TokenStreamTest, ValidationTakesEveryTokenButTheFirstOnceAsATarget) {
  feed_counting(at("v"), {10, 4, 9});  // 23 tokens: 22 targets in rows of 5
  for (const bool mask : {true, false}) {
    StreamOptions options = kRowAtATime;
    options.document_mask = mask;
    const auto batches = validation_batches(env, source("v"), options, 2);
    ASSERT_TRUE(batches.ok()) << batches.error().message;
    ASSERT_EQ(batches->size(), 3U);
    Batch all;
    for (const Batch& batch : *batches) append(all, batch);
    ASSERT_EQ(all.rows, 5);
    for (std::size_t i = 0; i < 22; ++i) {
      EXPECT_EQ(all.input[i], static_cast<std::int32_t>(i));
      EXPECT_EQ(all.target[i], static_cast<std::int32_t>(i) + 1);
      EXPECT_EQ(all.weight[i], mask && (i == 9 || i == 13) ? 0.0F : 1.0F);
    }
    for (std::size_t i = 22; i < 25; ++i) {
      EXPECT_EQ(all.weight[i], 0.0F);
      EXPECT_EQ(all.doc_begin[i], 2);
    }
  }
}

TEST_F(TokenStreamTest, ValidationRefusesWhatTrainingRefuses) {
  feed(at("v"), {{{1, 2, 3, 4, 5, 60}, {}}});
  StreamOptions options = kRowAtATime;
  options.tokenizer_fingerprint = "beef";
  EXPECT_EQ(validation_batches(env, source("v"), options, 4).error().kind, ErrorKind::refused);
  options = kRowAtATime;
  std::string bin = *env.read_file(at("v.bin"));
  bin[0] = '\7';
  damage(at("v.bin"), bin);
  EXPECT_THAT(validation_batches(env, source("v"), options, 4).error().message,
              HasSubstr("v.bin is damaged"));
  feed(at("v"), {{{1}, {}}});
  EXPECT_THAT(validation_batches(env, source("v"), options, 4).error().message,
              HasSubstr("holds 1 tokens"));
  EXPECT_EQ(
      validation_batches(env, {.name = "noise", .synthetic_vocab = 9}, options, 4).error().kind,
      ErrorKind::usage);
}

}  // namespace
}  // namespace boreal::tokens
