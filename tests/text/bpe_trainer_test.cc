#include "text/bpe_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <map>

#include "base/philox.h"
#include "golden_files.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_model.h"

namespace boreal::text {
namespace {

using testing::HasSubstr;

TEST(BpeTrainer, LearnsTheVocabularyOfTheReference) {
  for (const std::string pattern : {"gpt2", "words"}) {
    BpeTrainer trainer({.vocab_size = 640, .pattern = pattern});
    trainer.add(read_text(golden_path("tokenizer_corpus.txt")));
    const auto tokenizer = trainer.train();
    ASSERT_TRUE(tokenizer.ok());
    EXPECT_EQ(tokenizer->fingerprint(),
              load_golden("tokenizer_" + pattern + ".json").fingerprint());
  }
}

TEST(BpeTrainer, DoesNotDependOnTheOrderOfTheDocuments) {
  const std::vector<std::string> documents = {"the cat", "a cat and the dog", "dogs \xff\xfe dogs",
                                              "the the", "12 12 21"};
  BpeTrainer forwards({.vocab_size = 290, .pattern = "words"});
  BpeTrainer backwards({.vocab_size = 290, .pattern = "words"});
  for (auto it = documents.begin(); it != documents.end(); ++it) forwards.add(*it);
  for (auto it = documents.rbegin(); it != documents.rend(); ++it) backwards.add(*it);
  EXPECT_EQ(forwards.train()->to_json(), backwards.train()->to_json());
  EXPECT_EQ(forwards.train()->to_json(), forwards.train()->to_json());
}

TEST(BpeTrainer, DocumentsMayBeCountedAnywhereAndAddedUp) {
  const std::vector<std::string> documents = {"the cat", "a cat and the dog", "dogs \xff\xfe dogs",
                                              "the the", "12 12 21"};
  const BpeTrainOptions options{.vocab_size = 290, .pattern = "words"};
  BpeTrainer whole(options), first(options), second(options), sum(options);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    whole.add(documents[i]);
    (i % 2 == 0 ? first : second).add(documents[i]);
  }
  ASSERT_TRUE(sum.add_counts(second.counts()).ok());
  ASSERT_TRUE(sum.add_counts(first.counts()).ok());
  EXPECT_EQ(sum.counts(), whole.counts());
  EXPECT_EQ(sum.train()->to_json(), whole.train()->to_json());
  const std::string bytes = whole.counts();
  for (const std::size_t cut : {1, 8, 15, 16}) {
    BpeTrainer other(options);
    const Status status = other.add_counts(bytes.substr(0, cut));
    ASSERT_FALSE(status.ok()) << cut;
    EXPECT_THAT(status.error().message, HasSubstr("counts of pieces"));
  }
}

// The definition: count all pairs of all words anew before each merge.
std::vector<std::pair<std::string, std::string>> slow_merges(const std::vector<std::string>& words,
                                                             std::size_t count) {
  std::map<std::string, int> number;
  for (const std::uint8_t byte : bytes_by_character())
    number.emplace(std::string(1, static_cast<char>(byte)), std::ssize(number));
  std::vector<std::vector<std::string>> split;
  for (const std::string& word : words) {
    split.emplace_back();
    for (const char c : word) split.back().emplace_back(1, c);
  }
  std::vector<std::pair<std::string, std::string>> merges;
  while (number.size() < 256 + count) {
    std::map<std::pair<int, int>, int> pairs;
    std::map<std::pair<int, int>, std::pair<std::string, std::string>> spelled;
    for (const auto& word : split) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        const std::pair pair(number[word[i]], number[word[i + 1]]);
        ++pairs[pair];
        spelled[pair] = {word[i], word[i + 1]};
      }
    }
    const auto best =
        std::max_element(pairs.begin(), pairs.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    if (best == pairs.end() || best->second < 2) break;
    const auto [left, right] = spelled[best->first];
    merges.emplace_back(left, right);
    number.emplace(left + right, std::ssize(number));
    for (auto& word : split) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] += word[i + 1];
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

TEST(BpeTrainer, MergesAsTheDefinitionSaysOnRandomWords) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const Rng rng(seed, "words");
    std::uint64_t draw = 0;
    std::vector<std::string> words;
    BpeTrainer trainer({.vocab_size = 256 + 40, .pattern = "whole", .special_tokens = {}});
    for (int i = 0; i < 60; ++i) {
      std::string word;
      for (std::uint64_t n = rng.bits(draw++) % 14 + 1; n > 0; --n)
        word += "abc"[rng.bits(draw++) % (2 + seed % 2)];
      words.push_back(word);
      trainer.add(word);
    }
    const auto model = model_of_json(trainer.train()->to_json(), "trained").value();
    std::vector<std::pair<std::string, std::string>> merges;
    for (const Merge& merge : model.merges) {
      merges.emplace_back(model.vocabulary[static_cast<std::size_t>(merge.left)]->bytes,
                          model.vocabulary[static_cast<std::size_t>(merge.right)]->bytes);
    }
    ASSERT_EQ(merges, slow_merges(words, 40)) << seed;
  }
}

TEST(BpeTrainer, HoldsSpecialTokensThenAllBytesThenMerges) {
  BpeTrainer trainer({.vocab_size = 260, .special_tokens = {"<|endoftext|>", "<|\u00fcser|>"}});
  trainer.add("ab ab ab ab");
  const Tokenizer tokenizer = trainer.train().value();
  EXPECT_EQ(tokenizer.id_of("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer.id_of("<|\u00fcser|>"), 1);
  EXPECT_EQ(tokenizer.id_of("!"), 2);
  EXPECT_EQ(tokenizer.vocab_size(), 260);
  EXPECT_EQ(tokenizer.id_of("ab"), 258);
  EXPECT_EQ(tokenizer.id_of(" ab"), 259);
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_TRUE(tokenizer.id_of(std::string(1, static_cast<char>(byte))).has_value()) << byte;
  }
  const Tokenizer again = Tokenizer::parse(tokenizer.to_json(), "again").value();
  EXPECT_EQ(again.fingerprint(), tokenizer.fingerprint());
  EXPECT_EQ(again.encode("<|\u00fcser|>", {.parse_special = true}), std::vector<TokenId>{1});
}

TEST(BpeTrainer, StopsWhereNoPairIsFrequentEnough) {
  BpeTrainer trainer({.vocab_size = 4096, .min_pair_count = 3});
  trainer.add("abc abc abd");
  const Tokenizer tokenizer = trainer.train().value();
  EXPECT_EQ(tokenizer.vocab_size(), 1 + 256 + 1);  // "ab"; " abc" is seen once, "abc" once
  EXPECT_EQ(BpeTrainer({}).train()->vocab_size(), 257);
}

TEST(BpeTrainer, NoMergeSpellsASpecialToken) {
  BpeTrainer trainer({.vocab_size = 300, .special_tokens = {"PAD"}});
  for (int i = 0; i < 50; ++i) trainer.add("PAD");
  const Tokenizer tokenizer = trainer.train().value();
  EXPECT_EQ(tokenizer.encode("PAD").size(), 2U);
  EXPECT_EQ(tokenizer.encode("PAD", {.parse_special = true}), std::vector<TokenId>{0});
  EXPECT_TRUE(Tokenizer::parse(tokenizer.to_json(), "written").ok());
}

TEST(BpeTrainer, WrongOptionsAreUsageErrors) {
  const auto message = [](BpeTrainOptions options) {
    BpeTrainer trainer(std::move(options));
    trainer.add("some text");
    const auto result = trainer.train();
    if (result.ok()) return std::string("it was accepted");
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    return result.error().message;
  };
  EXPECT_THAT(message({.vocab_size = 256}), HasSubstr("vocab_size is 256, it must lie in 257.."));
  EXPECT_EQ(message({.vocab_size = 257}), "it was accepted");
  EXPECT_THAT(message({.vocab_size = 1 << 30}), HasSubstr("vocab_size"));
  EXPECT_THAT(message({.pattern = "gpt5"}), HasSubstr("\"gpt5\""));
  EXPECT_THAT(message({.min_pair_count = 0}), HasSubstr("min_pair_count is 0"));
  EXPECT_THAT(message({.special_tokens = {"<a>", "<a>"}}), HasSubstr("\"<a>\" is there twice"));
  EXPECT_THAT(message({.special_tokens = {"a"}}), HasSubstr("at least two characters"));
  EXPECT_THAT(message({.special_tokens = {""}}), HasSubstr("at least two characters"));
  EXPECT_THAT(message({.special_tokens = {"\xff\xff"}}), HasSubstr("must be UTF-8"));
}

TEST(BpeTrainer, AHundredThousandBytesWithoutABlankTakeNoQuadraticTime) {
  const Rng rng(3, "dna");
  std::string sequence;
  for (std::uint64_t i = 0; i < 100000; ++i) sequence += "ACGT"[rng.bits(i) % 4];
  BpeTrainer trainer({.vocab_size = 2000, .pattern = "words"});
  trainer.add(sequence + " " + std::string(100000, 'A'));
  const std::clock_t begin = std::clock();
  const Tokenizer tokenizer = trainer.train().value();
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 10);
  EXPECT_EQ(tokenizer.vocab_size(), 2000);
}

}  // namespace
}  // namespace boreal::text
