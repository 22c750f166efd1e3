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

TEST(Split, NamesAndExpressionsLeadBackToTheirPatterns) {
  for (const auto pattern : {SplitPattern::whole, SplitPattern::gpt2, SplitPattern::words}) {
    EXPECT_EQ(split_pattern_named(name_of(pattern)), pattern);
  }
  EXPECT_EQ(split_pattern_of_regex(regex_of(SplitPattern::gpt2)), SplitPattern::gpt2);
  EXPECT_EQ(split_pattern_of_regex(regex_of(SplitPattern::words)), SplitPattern::words);
  EXPECT_EQ(split_pattern_named("gpt4"), std::nullopt);
  EXPECT_EQ(split_pattern_of_regex(""), std::nullopt);
}

}  // namespace
}  // namespace boreal::text
