// Degree n equals degree 1: a step on any mesh gives the numbers of a step on one rank.
#include <gtest/gtest.h>

#include "tests/train/mesh_job.h"

namespace boreal::train {
namespace {

struct Layout {
  std::int64_t replicate = 1, shard = 1, tp = 1;
  bool sequence_parallel = true;
};

spec::MeshSpec mesh_of(const Layout& layout) {
  return {.dp_replicate = layout.replicate,
          .dp_shard = layout.shard,
          .tp = layout.tp,
          .sequence_parallel = layout.sequence_parallel};
}

class Mesh : public testing::TestWithParam<std::tuple<std::string, Layout>> {
 protected:
  MeshJob job() const {
    return {.family = std::get<0>(GetParam()), .mesh = mesh_of(std::get<1>(GetParam()))};
  }
  // OLMo 2 norms what comes out of its layers, and queries over all ranks: small differences are
  // scaled up. Measured: 2.4e-5 and 8.4e-4.
  static double harder() { return std::get<0>(GetParam()) == "olmo2" ? 4 : 1; }
  static MeshJob alone(MeshJob job) {
    job.mesh = {};
    return job;
  }
};

TEST_P(Mesh, GivesTheGradientsOfOneRank) {
  const MeshOutcome one = run_in_threads(alone(job()));
  const MeshOutcome many = run_in_threads(job());
  EXPECT_LE(loss_difference(many, one), 1e-5);
  EXPECT_LE(gradient_difference(many, one), 1e-5 * harder());
}

TEST_P(Mesh, GivesTheLossesOfOneRankInBf16) {
  MeshJob bf16 = job();
  bf16.dtype = DType::bf16;
#if !defined(__SANITIZE_THREAD__)
  bf16.steps = 20;
#endif
  const MeshOutcome one = run_in_threads(alone(bf16));
  const MeshOutcome many = run_in_threads(bf16);
  EXPECT_LE(loss_difference(many, one), 5e-4 * harder());
}

TEST_P(Mesh, HasTheSameBitsHoweverItsRanksAreHeldUp) {
  MeshJob slow = job();
  slow.slow = true;
  EXPECT_EQ(run_in_threads(job()).bytes(), run_in_threads(slow).bytes());
}

TEST_P(Mesh, HasTheSameBitsWhateverIsRecomputed) {
  const std::string kept = run_in_threads(job()).bytes();
  for (const spec::Recompute recompute : {spec::Recompute::selective, spec::Recompute::full}) {
    MeshJob again = job();
    again.recompute = recompute;
    EXPECT_EQ(run_in_threads(again).bytes(), kept);
  }
}

std::string case_name(const testing::TestParamInfo<Mesh::ParamType>& info) {
  const Layout& l = std::get<1>(info.param);
  return fmt::format("{}_r{}_s{}_t{}{}", std::get<0>(info.param), l.replicate, l.shard, l.tp,
                     l.sequence_parallel ? "" : "_whole_rows");
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, Mesh,
    testing::Combine(testing::Values(std::string("llama"), std::string("gpt2")),
                     testing::Values(Layout{1, 2, 1}, Layout{2, 1, 1}, Layout{1, 1, 2},
                                     Layout{1, 1, 2, false}, Layout{1, 2, 2}, Layout{2, 2, 1},
                                     Layout{1, 1, 4})),
    case_name);

// What the others add: norms of queries and keys whose heads are cut or shared (four ranks have two
// key heads), norms behind the sums over ranks, biases, a window, soft caps.
INSTANTIATE_TEST_SUITE_P(
    Families, Mesh,
    testing::Combine(testing::Values(std::string("neox"), std::string("mistral"),
                                     std::string("qwen2"), std::string("qwen3"),
                                     std::string("gemma2"), std::string("olmo2"),
                                     std::string("alibi")),
                     testing::Values(Layout{1, 1, 2}, Layout{1, 1, 2, false}, Layout{1, 2, 4})),
    case_name);

}  // namespace
}  // namespace boreal::train
