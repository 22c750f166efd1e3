// Runs of many ranks: threads and MPI processes write the same bytes, and what reads a model reads
// one that many ranks wrote as one that a single rank did.
#include "tests/stories/ranks.h"

namespace boreal::stories {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kShort = {"--set", "train.steps=14", "--set", "model.dtype=fp32"};

class ManyRanks : public RanksStory {
 protected:
  // The same mesh in both worlds; the losses are those of one rank.
  void expect_one_result(Ranks ranks) {
    trained("alone", kShort);
    ranks.mpi = false;
    trained_on(ranks, "threads", kShort);
    ranks.mpi = true;
    const Outcome outcome = run_on(ranks, train_line("mpi", kShort));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    expect_said_once(outcome.out);
    expect_said_once(outcome.err);
    EXPECT_THAT(outcome.out, HasSubstr("steps 14, "));
    expect_same_run("threads", "mpi");
    expect_near_metrics("mpi", "alone", 1e-5);
    EXPECT_TRUE(env.exists(path(last_checkpoint("mpi") + "/rank-1.bin")));
    EXPECT_EQ(leftovers("mpi"), std::vector<std::string>{});
  }
};

TEST_F(ManyRanks, ThreadsAndProcessesWriteTheSameBytesInShards) {
  NEEDS_MPIRUN();
  expect_one_result({.count = 2, .shard = 2});
}

TEST_F(ManyRanks, ThreadsAndProcessesWriteTheSameBytesInTensorParallel) {
  NEEDS_MPIRUN();
  expect_one_result({.count = 2, .tp = 2});
}

TEST_F(ManyRanks, ThreadsAndProcessesWriteTheSameBytesInShardsOfTensorParallel) {
  NEEDS_MPIRUN();
  expect_one_result({.count = 4, .shard = 2, .tp = 2});
}

TEST_F(ManyRanks, ThreadsAndProcessesWriteTheSameBytesInReplicatedShards) {
  NEEDS_MPIRUN();
  expect_one_result({.count = 4, .shard = 2, .replicate = 2});
}

}  // namespace
}  // namespace boreal::stories
