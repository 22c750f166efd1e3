// The job scripts of recipes/jobs, with launchers and queues that only write down their words.
#include <fmt/ranges.h>
#include <sys/wait.h>

#include <cstdlib>

#include "tests/stories/story.h"

namespace boreal::stories {
namespace {

using testing::HasSubstr;

class Jobs : public Story {
 protected:
  void SetUp() override {
    Story::SetUp();
    for (const char* tool : {"mpirun", "mpiexec", "srun"}) stand_in(tool, "exit ${CODE:-0}");
    for (const char* tool : {"scontrol", "qsub"}) stand_in(tool, "exit 0");
    file("nodes", "node-a\nnode-a\nnode-b\n");
  }

  void stand_in(const std::string& tool, const std::string& end) {
    ASSERT_TRUE(env.make_dirs(path("bin")).ok());
    file("bin/" + tool,
         fmt::format("#!/bin/sh\necho \"{} $*\" >> '{}'\n{}\n", tool, path("calls"), end));
    ASSERT_EQ(std::system(fmt::format("chmod +x '{}/bin/{}'", dir, tool).c_str()), 0);
  }

  // Exit code of the script where launchers end with `code`; what it said is in `log`.
  int job(const std::string& script, int code, const std::string& settings) {
    const int status = std::system(
        fmt::format("cd '{}' && PATH=\"$PWD/bin:$PATH\" SPEC=tiny.yaml BOREAL='{}' CODE={} {} "
                    "bash '{}/recipes/jobs/{}.sh' > log 2>&1",
                    dir, BOREAL_PROGRAM, code, settings, BOREAL_SOURCE_DIR, script)
            .c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string calls() const { return env.exists(path("calls")) ? read("calls") : ""; }

  const std::string slurm = "SLURM_NTASKS=2 SLURM_CPUS_PER_TASK=7 SLURM_JOB_ID=42";
  const std::string pbs = "PBS_O_WORKDIR=. PBS_NODEFILE=nodes RANKS_PER_NODE=1";
};

TEST_F(Jobs, TrainAsManyRanksAsTheyStart) {
  const std::string train =
      fmt::format("{} train tiny.yaml --set mesh.dp_shard=2 --world mpi\n", BOREAL_PROGRAM);
  EXPECT_EQ(job("mpirun", 0, "RANKS=2"), 0) << read("log");
  EXPECT_THAT(read("log"), HasSubstr("ranks 2: dp_shard 2"));
  EXPECT_THAT(calls(), testing::StartsWith("mpirun -n 2 "));
  EXPECT_THAT(calls(), testing::EndsWith(train));
  EXPECT_EQ(job("slurm", 0, slurm), 0) << read("log");
  EXPECT_THAT(calls(), testing::EndsWith("--cpus-per-task=7 --cpu-bind=cores " + train));
  EXPECT_EQ(job("pbs", 0, pbs), 0) << read("log");
  EXPECT_THAT(calls(), HasSubstr("mpiexec -n 2 --ppn 1 "));
  EXPECT_THAT(calls(), testing::EndsWith(train)) << "a run that is done is not submitted again";
}

TEST_F(Jobs, GoBackIntoTheQueueWhenTheRunIsSavedButNotDone) {
  EXPECT_EQ(job("mpirun", 75, "RANKS=2"), 75);
  EXPECT_EQ(job("slurm", 75, slurm), 75);
  EXPECT_THAT(calls(), testing::EndsWith("\nscontrol requeue 42\n"));
  EXPECT_EQ(job("pbs", 75, pbs), 75);
  EXPECT_THAT(calls(), HasSubstr("\nqsub -v SPEC=tiny.yaml,"));
}

TEST_F(Jobs, ThatFailedAreNotSubmittedAgain) {
  for (const int code : {1, 2, 3, 130}) {
    EXPECT_EQ(job("slurm", code, slurm), code);
    EXPECT_EQ(job("pbs", code, pbs), code);
  }
  EXPECT_THAT(calls(), testing::Not(HasSubstr("scontrol")));
  EXPECT_THAT(calls(), testing::Not(HasSubstr("qsub")));
}

TEST_F(Jobs, AMeshThatDoesNotFitStartsNothing) {
  EXPECT_EQ(job("mpirun", 0, "RANKS=3"), 2);
  EXPECT_THAT(read("log"), HasSubstr("train.batch_sequences is 4"));
  EXPECT_EQ(calls(), "");
}

TEST_F(Jobs, WordsThatTheyGiveToTrainAreKnown) {
  const Outcome help = run({"train", "--help"});
  for (const char* word : {"--set", "--world", "mesh.dp_shard"})
    EXPECT_THAT(help.out, HasSubstr(word));
}

}  // namespace
}  // namespace boreal::stories
