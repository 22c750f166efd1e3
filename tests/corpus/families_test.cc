#include "corpus/families.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "tests/corpus/files.h"

namespace boreal::corpus {
namespace {

using testing::HasSubstr;

std::string pattern_error(const std::string& pattern) {
  return message_of(Family::parse("f", pattern, "f.yaml:3"), ErrorKind::usage);
}

TEST(Family, TheAnswerIsValueUnitAndPunctuationUpToTheEnd) {
  const auto family =
      Family::parse("f", "The {property} of {name} is {value} {unit}.", "f").value();
  const auto filled = family.fill("iron", "melting point", "1811", "K");
  EXPECT_EQ(filled.text, "The melting point of iron is 1811 K.");
  EXPECT_EQ(filled.text.substr(filled.answer.begin), "1811 K.");
  EXPECT_EQ(filled.answer.end, filled.text.size());
}

TEST(Family, AnEmptyUnitLeavesNoBlank) {
  const auto family = Family::parse("f", "{name} | {property}: {value} {unit}.", "f").value();
  EXPECT_EQ(family.fill("iron", "symbol", "Fe", "").text, "iron | symbol: Fe.");
}

TEST(Family, ANameThatLooksLikeAPlaceholderIsNotFilledAgain) {
  for (const char* pattern : {"{name} {property} {value}", "{property} {name} {value}"}) {
    const auto filled =
        Family::parse("f", pattern, "f")->fill("{property}", "{name}", "{unit}", "");
    EXPECT_EQ(filled.text, std::string(pattern).starts_with("{name}") ? "{property} {name} {unit}"
                                                                      : "{name} {property} {unit}");
  }
}

TEST(Family, PatternsThatCannotBePromptsAreRefused) {
  EXPECT_THAT(pattern_error("{name} is {value}"), HasSubstr("{property} stands 0 times"));
  EXPECT_THAT(pattern_error("{name} {name} {property} {value}"),
              HasSubstr("{name} stands 2 times"));
  EXPECT_THAT(pattern_error("{value} is the {property} of {name}"),
              HasSubstr("the value stands before"));
  EXPECT_THAT(pattern_error("{name} {property} {value} {unit} indeed"),
              HasSubstr("words follow the value"));
  EXPECT_THAT(pattern_error("{name} {property} {valeu} {value}"), HasSubstr("'{valeu}'"));
  EXPECT_THAT(pattern_error("{name}\n{property} {value}"), HasSubstr("line break"));
}

class FamiliesFileTest : public FileTest {};

TEST_F(FamiliesFileTest, TheShippedFileHasFiveTrainedFamiliesAndAStyle) {
  const auto families = load_families(env, std::string(BOREAL_SOURCE_DIR) + "/data/families.yaml");
  ASSERT_TRUE(families.ok()) << families.error().message;
  EXPECT_GE(families->trained.size(), 5U);
  EXPECT_GE(families->styles.size(), 1U);
}

TEST_F(FamiliesFileTest, WrongFilesAreRefusedWithTheReason) {
  const std::string two = "families:\n  - {name: a, pattern: \"{name} {property} {value}\"}\n";
  const auto error = [&](const std::string& text) {
    return message_of(load_families(env, file("f.yaml", text)), ErrorKind::usage);
  };
  EXPECT_THAT(error(two), HasSubstr("at least 2"));
  EXPECT_THAT(error(two + "  - {name: a, pattern: \"{property} {name} {value}\"}\n"),
              HasSubstr("two families are called 'a'"));
  EXPECT_THAT(error(two + "  - {name: b, pattern: \"{name} {property} {value}\"}\n"),
              HasSubstr("have the pattern"));
  EXPECT_THAT(error(two + "  - {name: b, patern: x}\n"), HasSubstr("pattern"));
  EXPECT_THAT(error(two + "other_names: 2\n"), HasSubstr("other_names is 2"));
}

TEST(Rotation, EachPropertyHoldsOneFamilyOutAndEachFamilyIsTrainedWithOthers) {
  Rotation rotation(5, 4);
  std::vector<std::string> properties;
  for (int p = 0; p < 12; ++p) properties.push_back("p" + std::to_string(p));
  for (const auto& p : properties) rotation.add(p);
  std::map<std::size_t, int> held, trained;
  for (std::size_t p = 0; p < properties.size(); ++p) {
    ASSERT_EQ(rotation.heldout(properties[p]), p % 4);
    ++held[p % 4];
    const auto families = rotation.trained(properties[p]);
    EXPECT_EQ(families.size(), 4U);
    for (const std::size_t f : families) {
      EXPECT_NE(f, p % 4);
      ++trained[f];
    }
  }
  EXPECT_EQ(held.size(), 4U);
  EXPECT_EQ(trained.size(), 5U);
}

TEST(Rotation, APropertyAskedByTwoTablesKeepsItsNumber) {
  Rotation rotation(5, 4);
  for (const char* p : {"type", "mass", "type", "radius"}) rotation.add(p);
  EXPECT_EQ(rotation.heldout("type"), 0U);
  EXPECT_EQ(rotation.heldout("radius"), 2U);
}

TEST(Rotation, NothingIsHeldOutWithoutNeedOrOfASingleProperty) {
  Rotation none(3, 0);
  none.add("a");
  none.add("b");
  EXPECT_FALSE(none.heldout("a").has_value());
  Rotation single(3, 4);
  single.add("a");
  EXPECT_EQ(single.trained("a").size(), 3U);
  Rotation wide(2, 4);
  for (const char* p : {"a", "b", "c"}) wide.add(p);
  EXPECT_FALSE(wide.heldout("c").has_value());
}

}  // namespace
}  // namespace boreal::corpus
