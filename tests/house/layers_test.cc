#include "tests/house/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace boreal::house {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kRoot = BOREAL_SOURCE_DIR;

Edges layers_of_this_tree() {
  std::ifstream file(kRoot + "/layers.txt");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto edges = parse_layers(text);
  EXPECT_TRUE(edges.ok()) << (edges.ok() ? "" : edges.error().message);
  return std::move(edges).value();
}

std::vector<std::string> problems_of(std::string path, std::string text) {
  const Edges allowed = parse_layers("base:\nspec:\ntensor:\nnn: tensor\n").value();
  std::vector<Source> sources;
  sources.push_back(make_source(std::move(path), std::move(text)));
  return forbidden_edges(allowed, sources);
}

TEST(Layers, EveryIncludeInThisTreeIsAnEdgeOfLayersTxt) {
  const auto sources = load_sources(kRoot, {"src"});
  ASSERT_GT(sources.size(), 20U);
  EXPECT_THAT(forbidden_edges(layers_of_this_tree(), sources), IsEmpty());
  EXPECT_THAT(find_cycle(edges_of(sources)), IsEmpty());
}

TEST(Layers, AnAllowedIncludeBaseAndTheFolderItselfPass) {
  EXPECT_THAT(problems_of("src/nn/linear.cc",
                          "#include \"nn/linear.h\"\n#include \"base/check.h\"\n"
                          "#include \"tensor/tensor.h\"\n#include <vector>\n"),
              IsEmpty());
}

TEST(Layers, AnEdgeThatIsNotListedIsNamedWithFileAndLine) {
  EXPECT_THAT(problems_of("src/nn/linear.cc", "#include <vector>\n#include \"spec/node.h\"\n"),
              ElementsAre("src/nn/linear.cc:2: nn may not include spec (layers.txt)"));
}

TEST(Layers, BaseMayIncludeNothingAboveIt) {
  EXPECT_THAT(problems_of("src/base/env.cc", "#include \"tensor/tensor.h\"\n"),
              ElementsAre(HasSubstr("base may not include tensor")));
}

TEST(Layers, AFolderThatLayersTxtDoesNotKnowIsNamed) {
  EXPECT_THAT(problems_of("src/utils/strings.h", "#pragma once\n"),
              ElementsAre("src/utils/strings.h: layers.txt has no folder utils"));
}

TEST(Layers, AFileInNoFolderIsNamed) {
  EXPECT_THAT(problems_of("src/main.cc", ""),
              ElementsAre("src/main.cc: lies in no folder of src/"));
}

TEST(Layers, AnIncludeThatIsNotWrittenFromSrcIsNamed) {
  EXPECT_THAT(problems_of("src/nn/linear.cc", "#include \"linear.h\"\n"),
              ElementsAre(HasSubstr("does not start with a folder")));
  EXPECT_THAT(problems_of("src/nn/linear.cc", "#include \"../spec/node.h\"\n"),
              ElementsAre(HasSubstr("does not start with a folder")));
  EXPECT_THAT(problems_of("src/nn/linear.cc", "#include \"tests/nn/twin.h\"\n"),
              ElementsAre(HasSubstr("does not start with a folder")));
}

TEST(Layers, AnIncludeInACommentIsNoEdge) {
  EXPECT_THAT(problems_of("src/nn/linear.cc", "// #include \"spec/node.h\"\n"), IsEmpty());
}

TEST(Layers, ACycleIsFoundAndToldInOrder) {
  const Edges edges = {{"a", {"b"}}, {"b", {"c"}}, {"c", {"d", "b"}}, {"d", {}}};
  EXPECT_THAT(find_cycle(edges), ElementsAre("b", "c", "b"));
  EXPECT_THAT(find_cycle({{"a", {"b", "c"}}, {"b", {"c"}}}), IsEmpty());
}

TEST(Layers, ALineThatUsesAFolderBelowItIsRefused) {
  EXPECT_THAT(parse_layers("base:\na: b\nb:\n").error().message, HasSubstr("layers.txt:2"));
  EXPECT_THAT(parse_layers("base:\na:\na:\n").error().message, HasSubstr("a twice"));
  EXPECT_THAT(parse_layers("base\n").error().message, HasSubstr("no colon"));
}

}  // namespace
}  // namespace boreal::house
