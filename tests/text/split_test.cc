#include "text/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace boreal::text {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(SplitPattern pattern, std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = piece_end(pattern, text, at);
    EXPECT_GT(end, at);
    out.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

TEST(Split, Gpt2GivesAWordTheBlankInFrontOfIt) {
  EXPECT_THAT(pieces(SplitPattern::gpt2, "The mass  is 12.01 u\n\n x"),
              ElementsAre("The", " mass", " ", " is", " 12", ".", "01", " u", "\n\n", " x"));
}

TEST(Split, Gpt2KnowsLowerCaseContractionsOnly) {
  EXPECT_THAT(pieces(SplitPattern::gpt2, "it's WE'VE we've'll ''s"),
              ElementsAre("it", "'s", " WE", "'", "VE", " we", "'ve", "'ll", " ''", "s"));
}

TEST(Split, Gpt2LeavesBlanksAtTheEndWhole) {
  EXPECT_THAT(pieces(SplitPattern::gpt2, "a \n\t"), ElementsAre("a", " \n\t"));
  EXPECT_THAT(pieces(SplitPattern::gpt2, " \n\tb"), ElementsAre(" \n", "\t", "b"));
}

TEST(Split, Gpt2PutsMarksAndBrokenBytesWithOtherCharacters) {
  EXPECT_THAT(pieces(SplitPattern::gpt2, "e\u0301!x\xff\xfe 1"),
              ElementsAre("e", "\u0301!", "x", "\xff\xfe", " 1"));
}

TEST(Split, WordsCutsAllButLettersIntoSingleCharacters) {
  EXPECT_THAT(pieces(SplitPattern::words, "M31:  (quarz\u0301)\r\n\u00b0C\xff\xfe"),
              ElementsAre("M", "3", "1", ":", " ", " ", "(", "quarz\u0301", ")", "\r", "\n",
                          "\u00b0", "C", "\xff", "\xfe"));
}

TEST(Split, WholeDoesNotCut) {
  EXPECT_THAT(pieces(SplitPattern::whole, "a b"), ElementsAre("a b"));
}

TEST(Split, Cl100kLetsOneCharacterLeadAWordAndTakesThreeDigits) {
  EXPECT_THAT(pieces(SplitPattern::cl100k, "\\frac{\\frac12345 x\ty--(z"),
              ElementsAre("\\frac", "{\\", "frac", "123", "45", " x", "\ty", "--(", "z"));
  EXPECT_THAT(pieces(SplitPattern::qwen2, "a 12"), ElementsAre("a", " ", "1", "2"));
}

TEST(Split, Cl100kKnowsContractionsInAnyCaseAndTheLongS) {
  EXPECT_THAT(
      pieces(SplitPattern::cl100k, "It'S 'Llama we'VEx '\u017fo 'x"),
      ElementsAre("It", "'S", " '", "Llama", " we", "'VE", "x", " '", "\u017fo", " '", "x"));
  EXPECT_THAT(pieces(SplitPattern::cl100k, "a'\u017fo'lo'"),
              ElementsAre("a", "'\u017f", "o", "'lo", "'"));
}

TEST(Split, Cl100kEndsBlanksBehindTheLastLineEnd) {
  EXPECT_THAT(pieces(SplitPattern::cl100k, "a;\r\n\n  \n \n  b  "),
              ElementsAre("a", ";\r\n\n", "  \n \n", " ", " b", "  "));
  EXPECT_THAT(pieces(SplitPattern::cl100k, "x\n  "), ElementsAre("x", "\n", "  "));
}

TEST(Split, O200kCutsWordsWhereTheirCaseRises) {
  EXPECT_THAT(pieces(SplitPattern::o200k, "getHTTPResponse's ABC'LLx a/b //\n/c"),
              ElementsAre("get", "HTTPResponse's", " ABC'LL", "x", " a", "/b", " //\n/", "c"));
}

TEST(Split, O200kGivesBackWhatStandsBehindTheLastCharacterWithoutCase) {
  EXPECT_THAT(pieces(SplitPattern::o200k, "\u65e5AB c"), ElementsAre("\u65e5", "AB", " c"));
  EXPECT_THAT(pieces(SplitPattern::o200k, "A\u0301B"), ElementsAre("A\u0301", "B"));
  EXPECT_THAT(pieces(SplitPattern::o200k, "\u0301AB"), ElementsAre("\u0301", "AB"));
  EXPECT_THAT(pieces(SplitPattern::o200k, "\u0301Ab"), ElementsAre("\u0301Ab"));
  EXPECT_THAT(pieces(SplitPattern::o200k, "1\u0301 \u0301"), ElementsAre("1", "\u0301", " \u0301"));
}

TEST(Split, DeepseekCutsNumbersAndAsianTextFirst) {
  EXPECT_THAT(pieces(SplitPattern::deepseek, "a  1234\u65e5\u672c\u30fb\n (ab\u00e9 --\n\nx\u0301"),
              ElementsAre("a", "  ", "123", "4", "\u65e5\u672c", "\u30fb", "\n", " (", "ab\u00e9",
                          " --\n\n", "x\u0301"));
  EXPECT_THAT(pieces(SplitPattern::deepseek, "(ab\u00e9 x  \u65e5"),
              ElementsAre("(ab", "\u00e9", " x", "  ", "\u65e5"));
}

TEST(Split, DeepseekLeavesControlsTogetherUnlessOneLeadsAWord) {
  EXPECT_THAT(pieces(SplitPattern::deepseek, "\x01\x02\x03z\x01\x02"),
              ElementsAre("\x01\x02", "\x03z", "\x01\x02"));
}

TEST(Split, StarcoderCutsOutEachDigit) {
  EXPECT_THAT(pieces(SplitPattern::starcoder, "x12  3 y  z"),
              ElementsAre("x", "1", "2", "  ", "3", " y", " ", " z"));
}

const std::vector<SplitPattern> kAll = {
    SplitPattern::whole, SplitPattern::gpt2,  SplitPattern::words,    SplitPattern::cl100k,
    SplitPattern::qwen2, SplitPattern::o200k, SplitPattern::deepseek, SplitPattern::starcoder};

TEST(Split, NamesAndExpressionsLeadBackToTheirPatterns) {
  for (const auto pattern : kAll) {
    EXPECT_EQ(split_pattern_named(name_of(pattern)), pattern);
    const auto regexes = regexes_of(pattern);
    if (regexes.empty()) continue;
    EXPECT_EQ(split_pattern_of_regexes({regexes.begin(), regexes.end()}), pattern);
  }
  EXPECT_EQ(split_pattern_named("llama3"), SplitPattern::cl100k);
  EXPECT_EQ(split_pattern_named("gpt4"), std::nullopt);
  EXPECT_EQ(split_pattern_of_regexes({""}), std::nullopt);
  EXPECT_EQ(split_pattern_of_regexes({}), std::nullopt);
}

TEST(Split, LongRunsOfAnyPatternTakeNoQuadraticTime) {
  for (const auto pattern : kAll) {
    for (const std::string unit : {"a", "A", " ", "\n", "1", "'", "\u0301", "\u0301A", "\u65e5A",
                                   " \n", "\x01", "\xff", "\u3000", "\u30fb", "'s", "aA", "A1"}) {
      std::string text;
      while (text.size() < 300000) text += unit;
      std::size_t count = 0;
      for (std::size_t at = 0; at < text.size(); at = piece_end(pattern, text, at)) ++count;
      EXPECT_LE(count, text.size());
    }
  }
}

}  // namespace
}  // namespace boreal::text
