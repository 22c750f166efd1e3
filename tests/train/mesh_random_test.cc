// Twenty meshes and jobs of a seeded generator, up to eight ranks.
#include <gtest/gtest.h>

#include "base/philox.h"
#include "tests/train/mesh_job.h"

namespace boreal::train {
namespace {

class Dice {
 public:
  std::int64_t among(std::initializer_list<std::int64_t> choices) {
    return choices.begin()[static_cast<std::size_t>(rng_.uniform(draws_++) *
                                                    static_cast<double>(choices.size()))];
  }

 private:
  Rng rng_{4, "meshes", ""};
  std::uint64_t draws_ = 0;
};

MeshJob random_job(Dice& dice) {
  MeshJob job;
  do {
    job.mesh.dp_replicate = dice.among({1, 1, 2, 3});
    job.mesh.dp_shard = dice.among({1, 2, 3, 4, 7});
    job.mesh.tp = dice.among({1, 2, 4, 8});
  } while (ranks_of(job.mesh) > 8 || ranks_of(job.mesh) == 1);
  job.family = dice.among({0, 1}) == 0 ? "llama" : "gpt2";
  job.kv_heads = dice.among({1, 2, 4, 8});
  job.mesh.sequence_parallel = dice.among({0, 1}) == 1;
  job.recompute = static_cast<spec::Recompute>(dice.among({0, 1, 2}));
  const std::int64_t rows = dice.among({1, 2, 3});  // of a rank
  job.rows = rows * job.mesh.dp_replicate * job.mesh.dp_shard;
  job.micro_rows = dice.among({0, 1, 2});
  if (job.micro_rows > rows) job.micro_rows = 0;
  job.bucket_elements = dice.among({1, 3000, 20000, parallel::kBucketElements});
  job.steps = 3;
  return job;
}

TEST(RandomMesh, TwentyOfThemGiveTheNumbersOfOneRank) {
  Dice dice;
  for (int i = 0; i < 20; ++i) {
    const MeshJob job = random_job(dice);
    MeshJob alone = job;
    alone.mesh = {};
    alone.micro_rows = 0;
    const std::string what =
        fmt::format("{}: {}, {}, {} kv heads, {} rows by {}, buckets of {}{}", i, text_of(job.mesh),
                    job.family, job.kv_heads, job.rows, job.micro_rows, job.bucket_elements,
                    job.recompute != spec::Recompute::none ? ", recomputed" : "");
    const MeshOutcome one = run_in_threads(alone);
    const MeshOutcome many = run_in_threads(job);
    EXPECT_LE(loss_difference(many, one), 1e-5) << what;
    EXPECT_LE(gradient_difference(many, one), 1e-5) << what;
  }
}

}  // namespace
}  // namespace boreal::train
