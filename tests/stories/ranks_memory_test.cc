// The memory of each of four ranks that share the optimizer's state is what the plan says.
#include <nlohmann/json.hpp>

#include "tests/stories/ranks.h"

namespace boreal::stories {
namespace {

class RanksMemory : public RanksStory {};

// Small enough for a test, large enough that what the libraries take does not count.
constexpr const char* kModel = R"(name: memory
model: {family: llama, hidden: 384, layers: 6, heads: 6, ffn: 1024, vocab: 8192, context: 64}
data: {sequence: 64, sources: [{synthetic: true}]}
train: {steps: 2, batch_sequences: 4}
)";

TEST_F(RanksMemory, OfFourRanksThatShareTheStateIsAsPlanned) {
  NEEDS_MPIRUN();
  file("memory.yaml", kModel);
  const auto figures = [&](const Ranks& ranks) {
    const Outcome outcome = run_on(ranks, {"train", "memory.yaml", "--out",
                                           fmt::format("out{}", ranks.count), "--json", "--quiet"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out.substr(outcome.out.rfind("\n{") + 1));
  };
  const auto one = figures({.count = 1, .mpi = true});
  const auto four = figures({.count = 4, .mpi = true, .shard = 4});
  ASSERT_EQ(four["planned_bytes"].size(), 4U);
  // Masters and two moments, 12 bytes a parameter, shrink to a quarter.
  const double parameters = one["parameters"];
  const double saved =
      one["planned_bytes"][0].get<double>() - four["planned_bytes"][0].get<double>();
  EXPECT_GT(saved, 0.75 * 12 * parameters - (20 << 20));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A sanitizer's own memory would count.
  constexpr double kLibraries = 24 << 20;
  for (const auto* run : {&one, &four})
    for (std::size_t rank = 0; rank < (*run)["planned_bytes"].size(); ++rank) {
      const double planned = (*run)["planned_bytes"][rank];
      const double grown = (*run)["grown_bytes"][rank];
      EXPECT_GT(grown, 0.97 * planned) << rank;
      EXPECT_LT(grown, 1.01 * planned + kLibraries) << rank;
    }
#endif
}

}  // namespace
}  // namespace boreal::stories
