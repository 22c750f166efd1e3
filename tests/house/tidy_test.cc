#include "tests/house/tidy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/house/functions.h"

namespace boreal::house {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string kRoot = BOREAL_SOURCE_DIR;
const std::string kContract =
    "// A thing that the tests of the rules look at, with all it must say.\n#pragma once\n";

const std::string kRatchetHead =
    "# What the tree still had of each offence when its rule came in: rule, path, weight.\n"
    "# Numbers only fall (./run lint --ratchet writes them); a rise needs a decision record.\n";

std::vector<std::string> rules_broken(std::string path, std::string text) {
  std::vector<std::string> rules;
  for (const Finding& finding : check_source(make_source(std::move(path), std::move(text)))) {
    rules.push_back(finding.rule);
  }
  return rules;
}

std::string repeated(const std::string& line, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += line;
  return out;
}

TEST(Tidy, ThisTreeKeepsToTheRulesButForWhatTheRatchetHolds) {
  const auto sources = load_sources(kRoot, {"src", "tests", "bench", "tools"});
  ASSERT_GT(sources.size(), 20U);
  std::vector<Finding> findings = check_test_folders(sources);
  for (const Source& source : sources) {
    const auto more = check_source(source);
    findings.insert(findings.end(), more.begin(), more.end());
  }
  const std::string path = kRoot + "/tests/house/ratchet.txt";
  std::ifstream file(path);
  ASSERT_TRUE(file.good());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto ratchet = parse_ratchet(text);
  ASSERT_TRUE(ratchet.ok()) << ratchet.error().message;
  if (std::getenv("BOREAL_LOWER_RATCHET") != nullptr) {  // ./run lint --ratchet
    std::ofstream(path) << kRatchetHead << lowered_ratchet(findings, *ratchet);
    return;
  }
  for (const auto& problem : compare_with_ratchet(findings, *ratchet)) ADD_FAILURE() << problem;
}

TEST(Tidy, AFileMayHaveFourHundredLinesAndNotOneMore) {
  EXPECT_THAT(rules_broken("src/a/a.cc", repeated("int x;\n", 400)), IsEmpty());
  const auto findings = check_source(make_source("src/a/a.cc", repeated("int x;\n", 403)));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "file_length");
  EXPECT_EQ(findings[0].weight, 3);
}

TEST(Tidy, AFunctionMayHaveSeventyLinesAndNotOneMore) {
  const std::string open = "namespace a {\nclass B {\n public:\n  void run(int x = {}) const {\n";
  const std::string close = "  }\n};\n}\n";
  EXPECT_THAT(rules_broken("src/a/a.cc", open + repeated("    go();\n", 68) + close), IsEmpty());
  const auto findings =
      check_source(make_source("src/a/a.cc", open + repeated("    go();\n", 70) + close));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "function_length");
  EXPECT_EQ(findings[0].line, 4);
  EXPECT_EQ(findings[0].weight, 2);
  EXPECT_THAT(findings[0].message, HasSubstr("void run"));
}

TEST(Tidy, FunctionsAreToldFromClassesTablesAndDirectives) {
  const Functions functions = functions_of(make_source("src/a/a.cc",
                                                       "#define OPEN(x) \\\n  if (x) {\n"
                                                       "const int table[] = {1, 2};\n"
                                                       "struct A : B {\n  int x_{0};\n};\n"
                                                       "template <class T>\nT twice(T x) {\n"
                                                       "  return [&] { return x + x; }();\n}\n"
                                                       "char brace() { return '{'; }\n"
                                                       "TEST(A, B) {\n}\n"));
  EXPECT_TRUE(functions.balanced);
  ASSERT_EQ(functions.all.size(), 3U);
  EXPECT_EQ(functions.all[0].head, "template <class T> T twice(T x)");
  EXPECT_EQ(functions.all[0].line, 7);
  EXPECT_EQ(functions.all[0].lines, 4);
  EXPECT_EQ(functions.all[2].head, "TEST(A, B)");
}

TEST(Tidy, LinesOfARawStringAreDataAndCountForNoFunction) {
  const std::string page = "std::string_view page() {\n  return R\"(\n" + repeated("<p>\n", 200);
  EXPECT_THAT(rules_broken("src/a/a.cc", page + ")\";\n}\n"), IsEmpty());
}

TEST(Tidy, BracesThatDoNotMatchAreSaidSo) {
  EXPECT_THAT(rules_broken("src/a/a.cc", "void f() {\n"), ElementsAre("braces"));
  EXPECT_THAT(rules_broken("src/a/a.cc", "}\n"), ElementsAre("braces"));
}

TEST(Tidy, ALineMayHaveAHundredCharactersHoweverManyBytes) {
  const std::string wide = "// " + repeated("µ", 97) + "\n";
  EXPECT_THAT(rules_broken("src/a/a.cc", wide), IsEmpty());
  EXPECT_THAT(rules_broken("src/a/a.cc", "//" + wide), ElementsAre("line_length"));
}

TEST(Tidy, APromiseNeedsTheIssueThatKeepsIt) {
  EXPECT_THAT(rules_broken("src/a/a.cc", "// TODO(#12): shorter\n"), IsEmpty());
  EXPECT_THAT(rules_broken("src/a/a.cc", "const char* x = \"TODO\";\n"), IsEmpty());
  for (const char* text : {"// TODO: later\n", "/* FIXME(me) */\n", "// XXX\n", "// HACK(#x)\n"}) {
    EXPECT_THAT(rules_broken("src/a/a.cc", text), ElementsAre("promise")) << text;
  }
}

TEST(Tidy, BannedCallsAreFoundWhereTheyAreBanned) {
  for (const char* call :
       {"std::regex r;", "auto s = std::format(x);", "std::expected<int, int> e;", "printf(x);",
        "std::fprintf(stderr, x);", "::puts(x);", "std::cout << x;", "fmt::print(x);",
        "auto* home = std::getenv(x);", "setenv(x, y, 1);", "int x = rand();", "srand(1);",
        "std::random_device device;", "auto* p = malloc(3);", "auto* p = new int;", "delete p;"}) {
    EXPECT_THAT(rules_broken("src/nn/a.cc", std::string(call) + "\n"), ElementsAre("banned_call"))
        << call;
  }
}

TEST(Tidy, WhatOnlyLooksLikeABannedCallPasses) {
  for (const char* text :
       {"A(const A&) = delete;", "void* operator new(std::size_t);", "// a new printf(x)",
        "log(\"printf(new)\");", "fmt::format(x);", "std::snprintf(x);", "printer.puts(x);",
        "page->puts(x);", "int renew = newest;", "Printer::puts(x);", "#include <new>"}) {
    EXPECT_THAT(rules_broken("src/nn/a.cc", std::string(text) + "\n"), IsEmpty()) << text;
  }
}

TEST(Tidy, OnlyTheProgramAndFailedChecksPrint) {
  EXPECT_THAT(rules_broken("src/app/train.cc", "std::cout << getenv(x);\n"), IsEmpty());
  EXPECT_THAT(rules_broken("src/base/check.cc", "std::fprintf(stderr, x);\n"), IsEmpty());
  EXPECT_THAT(rules_broken("tests/nn/a_test.cc", "setenv(x, y, 1);\n"), IsEmpty());
}

TEST(Tidy, HeavyHeadersStayBehindSourceFiles) {
  const std::string include = "#include <nlohmann/json.hpp>\n";
  EXPECT_THAT(rules_broken("src/a/a.cc", include), IsEmpty());
  EXPECT_THAT(rules_broken("src/a/a.h", kContract + include), ElementsAre("heavy_header"));
  EXPECT_THAT(rules_broken("src/a/a.h", kContract + "#include <nlohmann/json_fwd.hpp>\n"),
              IsEmpty());
  EXPECT_THAT(rules_broken("src/a/a.cc", "#include <format>\n"), ElementsAre("banned_include"));
}

TEST(Tidy, AHeaderBeginsWithItsContract) {
  EXPECT_THAT(rules_broken("src/a/a.h", kContract), IsEmpty());
  EXPECT_THAT(rules_broken("src/a/a.h", "#pragma once\n" + kContract), ElementsAre("contract"));
  EXPECT_THAT(rules_broken("src/a/a.h", "// A thing.\n#pragma once\n"), ElementsAre("contract"));
  EXPECT_THAT(rules_broken("tests/a/a.h", "// A folder of small files.\n#pragma once\n"),
              IsEmpty());
  EXPECT_THAT(rules_broken("src/a/a.h", "int x;\n"), ElementsAre("contract", "contract"));
  EXPECT_THAT(rules_broken("src/a/a.h", kContract + "using namespace std;\n"),
              ElementsAre("using_namespace"));
  EXPECT_THAT(rules_broken("src/a/a.cc", "using namespace std::chrono_literals;\n"), IsEmpty());
}

TEST(Tidy, AVagueNameIsFound) {
  EXPECT_THAT(rules_broken("src/utils/strings.cc", ""), ElementsAre("vague_name"));
  EXPECT_THAT(rules_broken("src/nn/test_helpers.cc", ""), ElementsAre("vague_name"));
  EXPECT_THAT(rules_broken("src/nn/score.cc", ""), IsEmpty());
}

TEST(Tidy, AFolderWithCodeAndNoTestIsFound) {
  std::vector<Source> sources;
  for (const char* path : {"src/a/a.cc", "src/b/b.h", "src/c/c.cc", "tests/c/c_test.cc"}) {
    sources.push_back(make_source(path, ""));
  }
  const auto findings = check_test_folders(sources);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].path, "src/a");
}

TEST(Ratchet, OffendersMayStayButNotGrow) {
  std::vector<Finding> findings = {
      {.rule = "file_length", .path = "src/a.cc", .line = 410, .weight = 10, .message = "long"}};
  const Weights ratchet = parse_ratchet("# why\n\nfile_length src/a.cc 10\n").value();
  EXPECT_THAT(compare_with_ratchet(findings, ratchet), IsEmpty());
  findings[0].weight = 11;
  EXPECT_THAT(compare_with_ratchet(findings, ratchet),
              ElementsAre("src/a.cc:410: long (file_length)"));
  EXPECT_THAT(compare_with_ratchet(findings, {}), ElementsAre(HasSubstr("src/a.cc:410")));
}

TEST(Ratchet, WhatHasShrunkMustBeWrittenDown) {
  const Weights ratchet = parse_ratchet("file_length src/a.cc 10\npromise src/b.cc 1\n").value();
  const std::vector<Finding> findings = {
      {.rule = "file_length", .path = "src/a.cc", .weight = 4, .message = "long"}};
  EXPECT_THAT(compare_with_ratchet(findings, ratchet),
              UnorderedElementsAre(HasSubstr("from 10 to 4"), HasSubstr("delete the line")));
}

TEST(Ratchet, LoweringItNeverRaisesAWeightOrAddsAnEntry) {
  const Weights ratchet = parse_ratchet("a x.cc 10\na y.cc 3\na z.cc 1\n").value();
  const std::vector<Finding> findings = {{.rule = "a", .path = "x.cc", .weight = 4, .message = {}},
                                         {.rule = "a", .path = "y.cc", .weight = 7, .message = {}},
                                         {.rule = "a", .path = "new.cc", .message = {}}};
  EXPECT_EQ(lowered_ratchet(findings, ratchet), "a x.cc 4\na y.cc 3\n");
}

TEST(Ratchet, ALineThatIsNoEntryIsRefused) {
  for (const char* text : {"file_length src/a.cc\n", "file_length src/a.cc 0\n",
                           "file_length src/a.cc 3 4\n", "a b 1\na b 2\n"}) {
    EXPECT_FALSE(parse_ratchet(text).ok()) << text;
  }
}

TEST(Source, CommentsAndLiteralsAreNoCode) {
  const Source source = make_source(
      "a.cc",
      "int a = 1'000; // two\nauto b = R\"x(new \" )x\"; char c = '\\''; /* d\n*/ int e;\n");
  EXPECT_EQ(source.code.size(), source.text.size());
  EXPECT_THAT(lines_of(source.code), ElementsAre("int a = 1'000;       ",
                                                 testing::StartsWith("auto b = R\""), "   int e;"));
  EXPECT_EQ(source.code.find("new"), std::string::npos);
  EXPECT_THAT(find_word(source.comments, "two"), testing::SizeIs(1));
  EXPECT_THAT(find_word(source.code, "e"), testing::SizeIs(1));
}

}  // namespace
}  // namespace boreal::house
