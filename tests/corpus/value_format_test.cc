#include "corpus/value_format.h"

#include <gmock/gmock.h>

#include "tests/corpus/files.h"

namespace boreal::corpus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string formatted(std::string_view value, std::string_view format) {
  return format_value(value, NumberFormat::parse(format, "t.yaml:1").value());
}

TEST(NumberFormat, PlainIsAsInTheTable) {
  EXPECT_EQ(formatted("1.0070", "plain"), "1.0070");
}

TEST(NumberFormat, GroupedSeparatesThousandsFromFiveDigitsOn) {
  EXPECT_EQ(formatted("12742", "grouped"), "12,742");
  EXPECT_EQ(formatted("-1234567.891", "grouped"), "-1,234,567.891");
  EXPECT_EQ(formatted("123456", "grouped"), "123,456");
  EXPECT_EQ(formatted("1781", "grouped"), "1781");
  EXPECT_EQ(formatted("6.62607e-34", "grouped"), "6.62607e-34");
}

TEST(NumberFormat, ScientificMovesThePointAndKeepsTheDigits) {
  EXPECT_EQ(formatted("12742", "scientific"), "1.2742e4");
  EXPECT_EQ(formatted("0.00120", "scientific"), "1.20e-3");
  EXPECT_EQ(formatted("-5", "scientific"), "-5e0");
  EXPECT_EQ(formatted("0.5e-3", "scientific"), "5e-4");
}

TEST(NumberFormat, SignificantRoundsHalfAwayFromZero) {
  EXPECT_EQ(formatted("12742", "significant:3"), "12700");
  EXPECT_EQ(formatted("1.255", "significant:3"), "1.26");
  EXPECT_EQ(formatted("0.09996", "significant:3"), "0.100");
  EXPECT_EQ(formatted("99.96", "significant:3"), "100");
  EXPECT_EQ(formatted("-2.5", "significant:1"), "-3");
  EXPECT_EQ(formatted("6.62607e-34", "significant:3"), "6.63e-34");
  EXPECT_EQ(formatted("7.1", "significant:5"), "7.1");
}

TEST(NumberFormat, WhatIsNoNumberStaysAsItIs) {
  for (const char* text : {"cubic", "06h45m", "1e", "--3", "1.2.3", ".5", "A1V", ""}) {
    EXPECT_EQ(formatted(text, "significant:2"), text);
  }
}

TEST(NumberFormat, UnknownFormsAreRefusedWithThoseThereAre) {
  for (const char* text : {"roman", "significant", "significant:0", "significant:3x"}) {
    EXPECT_THAT(message_of(NumberFormat::parse(text, "t.yaml:9"), ErrorKind::usage),
                HasSubstr("t.yaml:9"));
  }
}

TEST(SequenceParts, ALongSequenceIsCutIntoEqualPartsThatJoinToTheWhole) {
  const std::string code = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG";
  const auto parts = sequence_parts(code);
  ASSERT_EQ(parts.size(), 4U);
  std::string joined;
  for (const auto& part : parts) {
    EXPECT_EQ(part.size(), 16U);
    joined += part;
  }
  EXPECT_EQ(joined, code);
}

TEST(SequenceParts, JoinedResiduesAreNeverSplit) {
  const auto parts = sequence_parts("Gly-Ile-Val-Glu-Gln-Cys-Cys-Thr-Ser-Ile-Cys-Ser-Leu");
  EXPECT_THAT(parts, ElementsAre("Gly-Ile-Val-Glu", "Gln-Cys-Cys-Thr", "Ser-Ile-Cys-Ser-Leu"));
}

TEST(SequenceParts, ShortValuesAndProseStayWhole) {
  EXPECT_EQ(sequence_parts("ACGT").size(), 1U);
  EXPECT_EQ(sequence_parts("Jean-Dominique Maraldi and many others who looked").size(), 1U);
}

}  // namespace
}  // namespace boreal::corpus
