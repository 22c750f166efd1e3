#include "spec/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boreal::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Node parsed(const std::string& text) {
  auto node = Node::parse(text, "f.yaml");
  EXPECT_TRUE(node.ok()) << node.error().message;
  return *node;
}

Node value(const std::string& text) {
  return *parsed("v: " + text).find("v");
}

std::string refusal(const std::string& text) {
  const auto node = Node::parse(text, "f.yaml");
  if (node.ok()) return "accepted";
  EXPECT_EQ(node.error().kind, ErrorKind::usage);
  return node.error().message;
}

TEST(Node, KeepsKeysInFileOrderWithTheLineOfEveryValue) {
  const Node root = parsed("# comment\nzeta: 1\nalpha:\n  - x\n  - y: [2,\n      3]\n");
  EXPECT_THAT(root.keys(), ElementsAre("zeta", "alpha"));
  EXPECT_EQ(root.find("zeta")->where(), "f.yaml:2");
  EXPECT_EQ(root.where_key("alpha"), "f.yaml:3");
  const Node list = *root.find("alpha");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list.at(0).where(), "f.yaml:4");
  EXPECT_EQ(list.at(1).find("y")->at(1).where(), "f.yaml:6");
  EXPECT_FALSE(root.find("beta").has_value());
}

TEST(Node, AnAbsentValueStandsOnTheLineOfItsKey) {
  const Node root = parsed("a:\n\n\nb: 1\n");
  EXPECT_TRUE(root.find("a")->is_null());
  EXPECT_EQ(root.find("a")->where(), "f.yaml:1");
  EXPECT_EQ(root.find("a")->as_string("a").error().message,
            "f.yaml:1: a has no value; text is expected (write \"\" for an empty one)");
}

TEST(Node, ReadsPlainScalarsByUseAndQuotedOnesAsText) {
  EXPECT_EQ(*value("12").as_int("v"), 12);
  EXPECT_EQ(*value("12").as_string("v"), "12");
  EXPECT_EQ(*value("12").as_double("v"), 12.0);
  EXPECT_EQ(*value("yes").as_string("v"), "yes");
  EXPECT_EQ(*value("\"a\\tb\\u00e9\"").as_string("v"), "a\tb\xc3\xa9");
  EXPECT_EQ(*value("'it''s'").as_string("v"), "it's");
  EXPECT_EQ(*value("|\n  two\n  lines\n").as_string("v"), "two\nlines\n");
  EXPECT_EQ(value("\"12\"").as_int("v").error().message,
            "f.yaml:1: v is the text \"12\", but a whole number is expected; remove the quotes");
  EXPECT_THAT(value("\"1.5\"").as_double("v").error().message, HasSubstr("remove the quotes"));
  EXPECT_FALSE(value("\"true\"").as_bool("v").ok());
}

TEST(Node, TakesOnlyPlainDecimalsForWholeNumbers) {
  EXPECT_EQ(*value("-9223372036854775808").as_int("v"), INT64_MIN);
  EXPECT_EQ(*value("9223372036854775807").as_int("v"), INT64_MAX);
  EXPECT_EQ(*value("0").as_int("v"), 0);
  struct Case {
    std::string text, hint;
  };
  for (const Case& bad : {Case{"012", "; write 12"},
                          {"-007", "; write -7"},
                          {"1_000", "; write 1000"},
                          {"1,000", "; write 1000"},
                          {"+5", "; write 5"},
                          {"1e6", "; write 1000000"},
                          {"4.0", "; write 4"},
                          {"0x10", ""},
                          {"0o17", ""},
                          {"1.5", ""},
                          {"twelve", ""},
                          {"1e300", ""},
                          {"12 apples", ""}}) {
    EXPECT_EQ(value(bad.text).as_int("v").error().message,
              "f.yaml:1: v is \"" + bad.text + "\", but a whole number is expected" + bad.hint);
  }
  EXPECT_THAT(value("9223372036854775808").as_int("v").error().message,
              HasSubstr("between -9223372036854775808 and 9223372036854775807"));
  EXPECT_THAT(value("[1]").as_int("v").error().message, HasSubstr("v is a list"));
  EXPECT_THAT(value("{a: 1}").as_int("v").error().message, HasSubstr("v is a map"));
  EXPECT_THAT(value("").as_int("v").error().message, HasSubstr("v is nothing"));
}

TEST(Node, TakesDecimalAndScientificNotationForNumbers) {
  EXPECT_EQ(*value("1e-3").as_double("v"), 1e-3);
  EXPECT_EQ(*value("+2.5E+3").as_double("v"), 2500.0);
  EXPECT_EQ(*value(".5").as_double("v"), 0.5);
  EXPECT_EQ(*value("-3.").as_double("v"), -3.0);
  EXPECT_EQ(*value("5e-324").as_double("v"), 5e-324);
  for (const char* bad : {".inf", "-.inf", ".nan", "inf", "nan", "infinity", "0x1p3", "0x10", "012",
                          "00.5", "1e", "e5", "1e5.0", "1.2.3", ".", "1 000", "1f"}) {
    EXPECT_THAT(
        value(bad).as_double("v").error().message,
        StartsWith("f.yaml:1: v is \"" + std::string(bad) + "\", but a number is expected"));
  }
  EXPECT_THAT(value("1e999").as_double("v").error().message, HasSubstr("that a double can hold"));
  EXPECT_THAT(value("1e-999").as_double("v").error().message, HasSubstr("that a double can hold"));
  EXPECT_THAT(value("1_000.5").as_double("v").error().message,
              HasSubstr("but a number is expected"));
}

TEST(Node, TakesOnlyTrueAndFalseForBools) {
  EXPECT_TRUE(*value("true").as_bool("v"));
  EXPECT_FALSE(*value("false").as_bool("v"));
  for (const char* yes : {"yes", "True", "on", "1", "Y"})
    EXPECT_THAT(value(yes).as_bool("v").error().message,
                HasSubstr("but true or false is expected; write true"));
  for (const char* no : {"no", "FALSE", "off", "0", "n"})
    EXPECT_THAT(value(no).as_bool("v").error().message,
                HasSubstr("but true or false is expected; write false"));
  EXPECT_EQ(value("maybe").as_bool("v").error().message,
            "f.yaml:1: v is \"maybe\", but true or false is expected");
}

TEST(Node, ReadsListsOfTextAndNamesTheElementThatIsNone) {
  EXPECT_THAT(*value("[a, 'b c', 3]").as_strings("v"), ElementsAre("a", "b c", "3"));
  EXPECT_EQ(value("one").as_strings("v").error().message,
            "f.yaml:1: v is \"one\", but a list is expected; write [\"one\"]");
  EXPECT_THAT(value("\n  - a\n  - [b]\n").as_strings("v").error().message,
              StartsWith("f.yaml:3: v.1 is a list, but one text is expected"));
  EXPECT_THAT(value("[a,,b]").as_strings("v").error().message, HasSubstr("v.1 has no value"));
}

TEST(Node, AKeyOutsideTheKnownOnesIsAnErrorThatNamesTheNearest) {
  const Node root = parsed("steps: 1\nbatch: 2\n");
  EXPECT_TRUE(root.allow_only({"steps", "batch", "more"}).ok());
  EXPECT_EQ(root.allow_only({"steps", "batch_sequences"}).error().message,
            "f.yaml:2: unknown key \"batch\"; did you mean batch_sequences?");
  EXPECT_EQ(root.allow_only({"x", "batch"}).error().message,
            "f.yaml:1: unknown key \"steps\"; known here: x, batch");
  EXPECT_THAT(parsed("- 1\n").allow_only({"x"}).error().message, HasSubstr("found a list"));
}

TEST(Node, ADuplicateKeyIsRefusedWithBothLines) {
  EXPECT_EQ(refusal("a: 1\nb: 2\na: 3\n"),
            "f.yaml:3: the key \"a\" stands twice, first on line 1; remove one");
  EXPECT_THAT(refusal("m:\n  a: 1\n  \"a\": 3\n"), HasSubstr("stands twice, first on line 2"));
  EXPECT_THAT(refusal("{a: 1, a: 1}"), HasSubstr("stands twice"));
  EXPECT_THAT(parsed("m: {a: 1}\nn: {a: 1}\n").keys(), ElementsAre("m", "n"));
}

TEST(Node, WhatStrictYamlLeavesOutIsRefusedByNameAndLine) {
  EXPECT_THAT(refusal("a: 1\nb: &x 2\n"), StartsWith("f.yaml:2: anchors (&name) are not read"));
  EXPECT_THAT(refusal("b: &x\n"), StartsWith("f.yaml:1: anchors"));
  EXPECT_THAT(refusal("a: &x 1\nb: *x\n"), StartsWith("f.yaml:1: anchors"));
  EXPECT_THAT(refusal("a: 1\nb: !!int 2\n"), StartsWith("f.yaml:2: tags (!name) are not read"));
  EXPECT_THAT(refusal("a: ! 2\n"), StartsWith("f.yaml:1: tags"));
  EXPECT_THAT(refusal("a: !x [1]\n"), StartsWith("f.yaml:1: tags"));
  EXPECT_THAT(refusal("a: 1\n---\nb: 2\n"), StartsWith("f.yaml:2: a second value begins here"));
  EXPECT_THAT(refusal("- a\nb: 1\n"), StartsWith("f.yaml:2: a second value begins here"));
  EXPECT_THAT(refusal("# c\n%YAML 1.1\n---\na: yes\n"), StartsWith("f.yaml:2: directives"));
  EXPECT_THAT(refusal("a:\n\tb: 1\n"), StartsWith("f.yaml:2: a tab indents this line"));
  EXPECT_THAT(refusal("a:\n  \tb: 1\n"), StartsWith("f.yaml:2: a tab indents this line"));
  EXPECT_THAT(refusal("[a]: 1\n"), StartsWith("f.yaml:1: a key must be a word"));
  EXPECT_THAT(refusal("a: {{name}}\n"), HasSubstr("need quotes"));
  EXPECT_THAT(refusal("~: 1\n"), StartsWith("f.yaml:1: a key is missing"));
  EXPECT_THAT(refusal(": 1\n"), StartsWith("f.yaml:1: a key is missing"));
  EXPECT_EQ(refusal(""), "f.yaml:1: no value stands here; is it empty, or was it not saved?");
  EXPECT_EQ(refusal("# only a comment\n"),
            "f.yaml:1: no value stands here; is it empty, or was it not saved?");
}

TEST(Node, BrokenYamlIsRefusedWithTheLineToMend) {
  EXPECT_THAT(refusal("a: 1\nb: [1, 2\nc: 3\n"),
              StartsWith("f.yaml:2: the '[' that stands here has no ']'"));
  EXPECT_THAT(refusal("a: 1\nb: [1, 2\n"),
              StartsWith("f.yaml:2: the '[' that stands here has no ']'"));
  EXPECT_THAT(refusal("a: 1\nb: {x: 1\n"),
              StartsWith("f.yaml:2: the '{' that stands here has no '}'"));
  EXPECT_THAT(refusal("a: 1\nb: [x]]\n"), StartsWith("f.yaml:2: a '}' or ']' that nothing opens"));
  EXPECT_THAT(refusal("a: b: c\n"), StartsWith("f.yaml:1: a ':' stands where no key can be"));
  EXPECT_THAT(refusal("a: 1\n  b: 2\n"), StartsWith("f.yaml:2: a ':' stands where no key can be"));
  EXPECT_THAT(refusal("a: 1\nb: @x\n"),
              StartsWith("f.yaml:2: no value begins with this character"));
  EXPECT_THAT(refusal("a: 1\nb: \"\\q\"\n"), StartsWith("f.yaml:2: unknown escape"));
  EXPECT_THAT(refusal("a: 1\nb: - c\n"), StartsWith("f.yaml:2: a list cannot begin here"));
  EXPECT_THAT(refusal("a:\n  - b\n - c\n"), StartsWith("f.yaml:3: a key is expected here"));
  EXPECT_THAT(refusal("- a: 1\n - b: 1\n"), StartsWith("f.yaml:2: a list item is expected here"));
  EXPECT_EQ(refusal("a: 1\nb\n"), "f.yaml:2: a ':' is missing after \"b\"");
}

TEST(Node, AQuoteThatIsNeverClosedIsRefusedOnItsLineHoweverTheFileEnds) {
  for (const char* rest :
       {"", "\n", "open", "open\n", "open\nc: 3", "open\nc: 3\n", "open\n\n", "open\n# c\n"}) {
    for (const char* quote : {"\"", "'"}) {
      EXPECT_EQ(refusal(std::string("a: 1\nb: ") + quote + rest),
                "f.yaml:2: the text in quotes that begins here has no closing quote");
    }
  }
}

TEST(Node, BytesThatAreNoTextAreRefusedWithTheirPlace) {
  EXPECT_EQ(refusal("a: 1\nb: \xff\n"),
            "f.yaml:2: byte 8 is 0xff, which is no valid UTF-8; save the file as UTF-8");
  EXPECT_THAT(refusal("a: \xc0\xaf"), HasSubstr("no valid UTF-8"));          // overlong
  EXPECT_THAT(refusal("a: \xed\xa0\x80"), HasSubstr("no valid UTF-8"));      // a surrogate
  EXPECT_THAT(refusal("a: \xf4\x90\x80\x80"), HasSubstr("no valid UTF-8"));  // above U+10FFFF
  EXPECT_THAT(refusal("a: \xe2\x82"), HasSubstr("no valid UTF-8"));          // cut
  EXPECT_THAT(refusal(std::string("a: 1\0b", 6)), HasSubstr("control character U+0000"));
  EXPECT_THAT(refusal("a: 1\n\x04 b: 2\n"), StartsWith("f.yaml:2: control character U+0004"));
  EXPECT_THAT(refusal("a: \xc2\x85"), HasSubstr("control character U+0085"));
  EXPECT_THAT(refusal(std::string("\xff\xfe"
                                  "a\0:\0",
                                  6)),
              StartsWith("f.yaml:1: the file is UTF-16"));
}

TEST(Node, AByteOrderMarkAndCrlfAreReadOver) {
  const Node root = parsed(
      "\xef\xbb\xbf"
      "a: 1\r\nb:\r\n  - x\r\n  - y z\r\nc: |\r\n  t\r\n");
  EXPECT_EQ(*root.find("a")->as_int("a"), 1);
  EXPECT_EQ(*root.find("b")->at(1).as_string("b"), "y z");
  EXPECT_EQ(root.find("b")->at(1).where(), "f.yaml:4");
  EXPECT_EQ(*root.find("c")->as_string("c"), "t\n");
  EXPECT_EQ(*parsed("a: 1 \t# comment\n").find("a")->as_int("a"), 1);
}

TEST(Node, DeepNestingIsRefusedAndOverflowsNoStack) {
  const auto repeat = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  EXPECT_TRUE(Node::parse(repeat("[", 60) + repeat("]", 60), "f").ok());
  EXPECT_THAT(refusal(repeat("[", 80) + repeat("]", 80)), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(refusal(repeat("- ", 100000) + "a"), HasSubstr("nested deeper than 64"));
  std::string stairs;
  for (std::size_t i = 0; i < 200; ++i) stairs += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(refusal(stairs), StartsWith("f.yaml:65: values are nested deeper than 64"));
  for (const char* opener : {"[", "{", "? ", "a: ", "{a: ", "[a: ", "!", "&a ", "\"a\": "})
    EXPECT_THAT(refusal(repeat(opener, 20000)), StartsWith("f.yaml:1: ")) << opener;
}

TEST(Node, AFileTooLargeForASpecIsRefused) {
  EXPECT_THAT(refusal(std::string((std::size_t{16} << 20) + 1, '#')),
              HasSubstr("is it the right file?"));
}

TEST(Node, AMissingFileIsWrongUsage) {
  const auto node = Node::parse_file(Env::real(), testing::TempDir() + "/no_such_spec.yaml");
  ASSERT_FALSE(node.ok());
  EXPECT_THAT(node.error().message, HasSubstr("no_such_spec.yaml: No such file"));
  EXPECT_EQ(exit_code(node.error().kind), 2);
}

TEST(Node, AMissingFileNamesItsNeighbour) {
  const std::string folder = testing::TempDir() + "/specs";
  ASSERT_TRUE(Env::real().make_dirs(folder).ok());
  ASSERT_TRUE(Env::real().write_file(folder + "/quickstart.yaml", "a: 1").ok());
  const auto near = Node::parse_file(Env::real(), folder + "/quickstat.yaml");
  ASSERT_FALSE(near.ok());
  EXPECT_THAT(near.error().message,
              testing::EndsWith("; did you mean " + folder + "/quickstart.yaml?"));
  const auto far = Node::parse_file(Env::real(), folder + "/shakespeare.yaml");
  ASSERT_FALSE(far.ok());
  EXPECT_THAT(far.error().message, testing::EndsWith("No such file or directory"));
}

TEST(Nearest, FindsSwappedLostAndAddedLettersAndNothingFarAway) {
  const std::vector<std::string> known = {"steps", "tokens", "batch_sequences", "lr"};
  EXPECT_EQ(nearest("stesp", known), "steps");
  EXPECT_EQ(nearest("token", known), "tokens");
  EXPECT_EQ(nearest("batch-sequences", known), "batch_sequences");
  EXPECT_EQ(nearest("Steps", known), "steps");
  EXPECT_EQ(nearest("batch", known), "batch_sequences");
  EXPECT_EQ(nearest("rl", known), "lr");
  EXPECT_EQ(nearest("zebra", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest(std::string(100000, 'x'), known), std::nullopt);
}

}  // namespace
}  // namespace boreal::spec
