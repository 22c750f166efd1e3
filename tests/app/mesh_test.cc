// boreal mesh: the layout of a spec before anything is started.
#include <nlohmann/json.hpp>

#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class MeshVerb : public Story {
 protected:
  Outcome mesh(const std::vector<std::string>& sets, const std::vector<std::string>& more = {}) {
    std::vector<std::string> line = {"mesh", "tiny.yaml", "--set", "train.batch_sequences=8"};
    for (const std::string& set : sets) line.insert(line.end(), {"--set", set});
    line.insert(line.end(), more.begin(), more.end());
    return run(line);
  }
};

TEST_F(MeshVerb, ShowsAxesRanksAndRows) {
  const Outcome outcome = mesh({"mesh.dp_shard=2", "mesh.tp=2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  for (const char* text :
       {"ranks 4: dp_shard 2 x tp 2; a step's 8 rows are read in 2 parts", "dp_replicate      1",
        "\n   1  dp_shard 0, tp 1  0-3 ", "\n   2  dp_shard 1, tp 0  4-7 ", "on this machine"})
    EXPECT_THAT(outcome.out, HasSubstr(text));
  EXPECT_FALSE(env.exists(path("out"))) << "it writes nothing";
}

TEST_F(MeshVerb, ItsFiguresHaveEveryRank) {
  const Outcome outcome = mesh({"mesh.dp_replicate=2", "mesh.tp=2"}, {"--json"});
  const std::string text = outcome.out.substr(0, outcome.out.size() - 1);
  const json figures = json::parse(text.substr(text.rfind('\n') + 1), nullptr, false);
  ASSERT_TRUE(figures.is_object()) << outcome.out;
  EXPECT_EQ(figures["ranks"], 4);
  EXPECT_EQ(figures["batch_parts"], 2);
  EXPECT_EQ(figures["axes"]["tp"], 2);
  ASSERT_EQ(figures["places"].size(), 4U);
  EXPECT_EQ(figures["places"][3]["coordinate"]["dp_replicate"], 1);
  EXPECT_EQ(figures["places"][3]["rows"], json({4, 8}));
  EXPECT_GE(figures["places"][3]["threads"], 1);
}

TEST_F(MeshVerb, ManyRanksAreShownInPartAndCounted) {
  const Outcome outcome =
      mesh({"train.batch_sequences=80", "mesh.dp_shard=40"}, {"--world", "threads:40"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("dp_shard 31  62-63 "));
  EXPECT_THAT(outcome.out, testing::Not(HasSubstr("dp_shard 32 ")));
  EXPECT_THAT(outcome.out, HasSubstr("... and 8 more, in the same order\n"));
}

TEST_F(MeshVerb, AWorldOfAnotherSizeIsWrongUsageThatNamesTheNearestLayouts) {
  expect_error(mesh({"mesh.dp_shard=2"}, {"--world", "threads:4"}), 2,
               {"mesh: dp_shard 2 = 2 ranks, but the world has 4; legal layouts of 4 ranks nearest "
                "to it: dp_shard 4"});
  expect_error(mesh({"mesh.pp=2"}), 2, {"mesh.pp is 2, but pipeline stages come later"});
}

TEST_F(MeshVerb, TheFamilysWidthOfTheMlpIsSharedOutToo) {
  // 8/3 x 96 rounded up to 64 is 256: the spec leaves it to the family.
  expect_error(mesh({"model.hidden=96", "model.heads=12", "model.ffn=0", "mesh.tp=3",
                     "mesh.sequence_parallel=false"}),
               2, {"mesh.tp is 3, which does not divide model.ffn (256)"});
}

}  // namespace
}  // namespace boreal::stories
