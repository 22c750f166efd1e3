#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/philox.h"
#include "golden_files.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer_model.h"

namespace boreal::text {
namespace {

using testing::ElementsAre;
using Ids = std::vector<TokenId>;

Tokenizer trained(const std::string& pattern) {
  BpeTrainer trainer(
      {.vocab_size = 500, .pattern = pattern, .special_tokens = {"<|endoftext|>", "<|user|>"}});
  trainer.add(read_text(golden_path("tokenizer_corpus.txt")));
  return trainer.train().value();
}

// Bytes that wear a tokenizer down: broken UTF-8, half special tokens, long runs, blanks of all
// kinds.
class ByteStrings {
 public:
  std::string next() {
    std::string text;
    const std::uint64_t parts = bits() % 8;
    for (std::uint64_t i = 0; i < parts; ++i) {
      switch (bits() % 6) {
        case 0: text += static_cast<char>(bits()); break;
        case 1:
          for (std::uint64_t n = bits() % 40; n > 0; --n) text += static_cast<char>(bits());
          break;
        case 2: text.append(bits() % 100, static_cast<char>(bits())); break;
        case 3: text += kParts[bits() % kParts.size()]; break;
        case 4: text += kParts[bits() % kParts.size()].substr(0, bits() % 4); break;
        default:
          for (std::uint64_t n = bits() % 12; n > 0; --n)
            text += static_cast<char>(0x20 + bits() % 0x5f);
      }
    }
    return text;
  }

 private:
  std::uint64_t bits() { return rng_.bits(draw_++); }
  const std::vector<std::string> kParts = {"<|endoftext|>",
                                           "<|user|>",
                                           "\xf0\x9f\x98\x80",
                                           "\xed\xa0\x80",
                                           "\xc0\xaf",
                                           "\xf4\x90\x80\x80",
                                           "e\u0301",
                                           "\u1100\u1161\u11a8",
                                           "\u3000",
                                           "\u00a0",
                                           "\r\n",
                                           "'s 't're",
                                           "12345",
                                           "density of quartz",
                                           "\u0301\u0323",
                                           std::string("\0\0", 2),
                                           "\xff\xfe",
                                           "    "};
  Rng rng_{11, "byte strings"};
  std::uint64_t draw_ = 0;
};

TEST(Tokenizer, TwentyThousandRandomAndAdversarialByteStringsComeBack) {
  const Tokenizer gpt2 = trained("gpt2");
  const Tokenizer words = trained("words");
  ByteStrings strings;
  for (int round = 0; round < 20000; ++round) {
    const std::string text = strings.next();
    const Tokenizer& tokenizer = round % 2 == 0 ? gpt2 : words;
    const EncodeOptions options{.parse_special = round % 3 == 0};
    const Ids ids = tokenizer.encode(text, options);
    ASSERT_EQ(tokenizer.decode(ids), text);
    std::size_t at = 0;
    std::size_t i = 0;
    for (const TokenSpan& span : tokenizer.encode_spans(text, options)) {
      ASSERT_LT(i, ids.size());
      ASSERT_EQ(span.id, ids[i++]);
      ASSERT_EQ(span.begin, at);
      ASSERT_EQ(tokenizer.decode(Ids{span.id}), text.substr(at, span.end - at));
      at = span.end;
    }
    ASSERT_EQ(i, ids.size());
    ASSERT_EQ(at, text.size());
  }
}

TEST(Tokenizer, EveryNormalisingOrPrefixingStringStillYieldsOrderedSpans) {
  const Tokenizer tokenizer = load_golden("tokenizer_added.json");
  ByteStrings strings;
  for (int round = 0; round < 2000; ++round) {
    const std::string text = strings.next();
    const Ids ids = tokenizer.encode(text, {.parse_special = true});
    const auto spans = tokenizer.encode_spans(text, {.parse_special = true});
    ASSERT_EQ(spans.size(), ids.size());
    std::size_t at = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ASSERT_EQ(spans[i].id, ids[i]);
      ASSERT_EQ(spans[i].begin, at);
      ASSERT_GT(spans[i].end, at);
      at = spans[i].end;
    }
  }
}

TEST(Tokenizer, ANameHasTheSameIdsWhereverItStands) {
  const Tokenizer tokenizer = trained("words");
  for (const std::string name :
       {"Vega", "carbon-14", "M31", "Barnard's Star", "H\u2082O", "\u03b1 Lyrae", "Zo\u00eb"}) {
    const Ids alone = tokenizer.encode(name);
    for (const std::string before : {"", " ", "\n", "(", "The star ", "1", "-", "\u2014", "x: "}) {
      for (const std::string behind :
           {"", ".", ")", ":", ", ", "\n", "'s", " is", "-", "\u2026", "7"}) {
        const auto spans = tokenizer.encode_spans(before + name + behind);
        Ids found;
        for (const TokenSpan& span : spans) {
          if (span.begin >= before.size() && span.end <= before.size() + name.size())
            found.push_back(span.id);
        }
        EXPECT_EQ(found, alone) << before << name << behind;
      }
    }
  }
}

TEST(Tokenizer, SpecialTokensInTextAreTextUnlessAskedFor) {
  const Tokenizer tokenizer = trained("gpt2");
  const TokenId end = *tokenizer.id_of("<|endoftext|>");
  EXPECT_EQ(tokenizer.end_of_text(), end);
  EXPECT_TRUE(tokenizer.is_special(end));
  EXPECT_FALSE(tokenizer.is_special(*tokenizer.id_of("a")));
  EXPECT_FALSE(tokenizer.is_special(-1));
  EXPECT_FALSE(tokenizer.is_special(1 << 20));
  const std::string text = "a<|endoftext|>b";
  EXPECT_THAT(tokenizer.encode(text), testing::Not(testing::Contains(end)));
  EXPECT_THAT(tokenizer.encode(text, {.parse_special = true}),
              ElementsAre(*tokenizer.id_of("a"), end, *tokenizer.id_of("b")));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(Tokenizer, IdsOutsideTheVocabularyDecodeToNothing) {
  const Tokenizer tokenizer = trained("gpt2");
  const auto end = static_cast<TokenId>(tokenizer.vocab_size());
  EXPECT_EQ(tokenizer.decode(Ids{-5, *tokenizer.id_of("a"), end, 1 << 30}), "a");
  EXPECT_EQ(tokenizer.id_of("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id_of(""), std::nullopt);
  EXPECT_TRUE(tokenizer.encode("").empty());
}

TEST(Tokenizer, BytesThatTheVocabularyLacksLeaveGapsInTheSpans) {
  TokenizerModel model;
  model.pattern = SplitPattern::whole;
  for (const char* token : {"a", "b", "ab"})
    model.vocabulary.push_back(VocabularyEntry{token, true});
  model.merges = {{0, 1, 2}};
  const Tokenizer tokenizer = Tokenizer::build(std::move(model));
  const auto spans = tokenizer.encode_spans(
      "\xff"
      "b\xff"
      "a\xff"
      "b\xff");
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[0].id, 1);
  EXPECT_EQ(spans[0].begin, 1U);
  EXPECT_EQ(spans[0].end, 2U);
  EXPECT_EQ(spans[1].id, 2);  // the neighbours of a lacking byte meet
  EXPECT_EQ(spans[1].begin, 3U);
  EXPECT_EQ(spans[1].end, 6U);
  EXPECT_EQ(tokenizer.end_of_text(), std::nullopt);
}

TEST(Tokenizer, AWholePieceInTheVocabularyWinsWhereMergesAreIgnored) {
  TokenizerModel model;
  for (const char* token : {"a", "b", "c", "bc", "abc"})
    model.vocabulary.push_back(VocabularyEntry{token, true});
  model.merges = {{1, 2, 3}};
  TokenizerModel ignoring = model;
  ignoring.ignore_merges = true;
  const Tokenizer by_merges = Tokenizer::build(model);
  const Tokenizer by_pieces = Tokenizer::build(ignoring);
  EXPECT_THAT(by_merges.encode("abc"), ElementsAre(0, 3));
  EXPECT_THAT(by_pieces.encode("abc"), ElementsAre(4));
  EXPECT_THAT(by_pieces.encode("abcb"), ElementsAre(0, 3, 1));
  EXPECT_NE(by_merges.fingerprint(), by_pieces.fingerprint());
}

TEST(Tokenizer, ThreadsThatShareATokenizerGetTheSameIds) {
  const Tokenizer tokenizer = trained("gpt2");
  const std::string text = read_text(golden_path("tokenizer_corpus.txt"));
  const Ids alone = tokenizer.encode(text);
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&tokenizer, &text, &alone, &count] {
      for (int i = 0; i < 30; ++i) {
        if (tokenizer.encode(text) != alone || tokenizer.decode(alone) != text) ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Tokenizer, AnyChangeThatDecidesIdsChangesTheFingerprint) {
  const auto model =
      model_of_json(read_text(golden_path("tokenizer_added.json")), "golden").value();
  std::vector<TokenizerModel> changed(9, model);
  changed[0].nfc = false;
  changed[1].add_prefix_space = false;
  changed[2].pattern = SplitPattern::words;
  std::swap(changed[3].merges[4], changed[3].merges[5]);
  changed[4].vocabulary.emplace_back(VocabularyEntry{"new", true});
  changed[5].added_tokens[1].lstrip = true;
  changed[6].added_tokens.pop_back();
  changed[7].added_tokens[0].special = false;
  changed[8].vocabulary[300]->bytes += "x";
  std::set<std::string> prints = {Tokenizer::build(model).fingerprint()};
  for (const TokenizerModel& one : changed) prints.insert(Tokenizer::build(one).fingerprint());
  EXPECT_EQ(prints.size(), changed.size() + 1);
  EXPECT_EQ(prints.begin()->size(), 32U);
}

TEST(Tokenizer, AnAddedTokenInsideSwallowedBlanksIsNoMatch) {
  TokenizerModel model;
  model.pattern = SplitPattern::whole;
  for (const char* token : {"a", " "}) model.vocabulary.push_back(VocabularyEntry{token, true});
  model.added_tokens = {{.id = 2, .content = "<m>", .rstrip = true}, {.id = 3, .content = "  "}};
  const Tokenizer tokenizer = Tokenizer::build(std::move(model));
  EXPECT_THAT(tokenizer.encode("<m>   a  a"), ElementsAre(2, 0, 3, 0));
}

}  // namespace
}  // namespace boreal::text
