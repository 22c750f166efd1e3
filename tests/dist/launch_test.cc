#include "dist/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace boreal::dist {
namespace {

using testing::HasSubstr;

Launch launch(const std::map<std::string, std::string>& variables) {
  return read_launch([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Launch, IsReadFromWhatEachLauncherSets) {
  EXPECT_EQ(launch({{"OMPI_COMM_WORLD_SIZE", "4"}}).ranks, 4);
  EXPECT_EQ(launch({{"PMI_SIZE", "8"}}).ranks, 8);
  EXPECT_EQ(
      launch({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "2"}, {"SLURM_STEP_NUM_TASKS", "16"}}).ranks,
      16);
  EXPECT_EQ(launch({}).ranks, 1);
  EXPECT_EQ(launch({{"PMI_SIZE", "many"}}).ranks, 1);
}

TEST(Launch, SaysWhichRankThisProcessIs) {
  EXPECT_EQ(launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}}).rank, 3);
  EXPECT_EQ(launch({{"PMI_SIZE", "8"}, {"PMI_RANK", "5"}}).rank, 5);
  EXPECT_EQ(
      launch({{"SLURM_PROCID", "2"}, {"SLURM_STEP_ID", "2"}, {"SLURM_STEP_NUM_TASKS", "16"}}).rank,
      2);
  EXPECT_EQ(launch({{"OMPI_COMM_WORLD_RANK", "3"}}).rank, 0) << "no launcher";
}

TEST(Launch, IsNoneInAShellInsideAnAllocation) {
  EXPECT_EQ(launch({{"SLURM_NTASKS", "16"}, {"SLURM_JOB_ID", "7"}}).ranks, 1);
}

TEST(Launch, OfSeveralRanksIsRefusedInAWorldOfOneProcess) {
  EXPECT_TRUE(check_alone("single", launch({})).ok());
  EXPECT_TRUE(check_alone("threads:4", launch({{"PMI_SIZE", "1"}})).ok());
  const Status status = check_alone("threads:4", launch({{"PMI_SIZE", "2"}}));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::usage);
  EXPECT_THAT(status.error().message, HasSubstr("one of 2 (PMI_SIZE=2)"));
}

TEST(Launch, ThatMpiDoesNotConfirmIsOfAnotherMpi) {
  EXPECT_TRUE(check_size(4, launch({{"PMI_SIZE", "4"}})).ok());
  EXPECT_TRUE(check_size(4, launch({})).ok());
  const Status status = check_size(1, launch({{"PMI_SIZE", "4"}}));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("started 4 ranks (PMI_SIZE), but MPI counts 1"));
}

}  // namespace
}  // namespace boreal::dist
