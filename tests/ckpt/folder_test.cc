#include "ckpt/folder.h"

#include "faulty_env.h"
#include "fixture.h"

namespace boreal::ckpt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Folder : public CheckpointTest {
 protected:
  void save_keeping(std::int64_t step, std::int64_t keep, std::optional<double> loss = {},
                    bool keep_best = false) {
    SaveOptions options = options_of(step);
    options.keep = keep;
    options.loss = loss;
    options.keep_best = keep_best;
    const Result<Saved> saved = save_step(env_, root_, step, options);
    ASSERT_TRUE(saved.ok()) << saved.error().message;
    EXPECT_THAT(saved->warnings, IsEmpty());
  }
  // Changes one byte without changing the size.
  void damage(std::int64_t step, const std::string& name) {
    const std::string path = committed_dir(root_, step) + "/" + name;
    std::string content = *env_.read_file(path);
    content[content.size() / 2] ^= 1;
    ASSERT_TRUE(env_.write_file(path, content).ok());
  }
};

TEST_F(Folder, ListsNewestFirstByNumberAndIgnoresOtherNames) {
  for (const std::int64_t step : {9, 10, 2}) ASSERT_TRUE(save_step(step).ok());
  for (const char* name :
       {"step-07", "step-x", "step-", "step--1", "best", "step-99999999999999999999"})
    ASSERT_TRUE(env_.make_dirs(join_path(root_, name)).ok());
  const auto all = list(env_, root_);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 3U);
  EXPECT_EQ((*all)[0].step, 10);
  EXPECT_EQ((*all)[1].step, 9);
  EXPECT_EQ((*all)[2].step, 2);
}

TEST_F(Folder, ARootThatDoesNotExistHoldsNoCheckpoints) {
  EXPECT_THAT(*list(env_, root_), IsEmpty());
  EXPECT_EQ(newest_whole(env_, root_)->dir, "");
}

TEST_F(Folder, ADamagedManifestIsReportedNotSkipped) {
  ASSERT_TRUE(save_step(1).ok());
  ASSERT_TRUE(save_step(2).ok());
  damage(2, "manifest.json");
  const auto all = list(env_, root_);
  EXPECT_THAT((*all)[0].damage, HasSubstr("step-2/manifest.json"));
  EXPECT_EQ((*all)[1].damage, "");
}

TEST_F(Folder, TheNewestWholeOnePassesOverDamageOfAnyKindWithAWarning) {
  for (const std::int64_t step : {1, 2, 3, 4}) ASSERT_TRUE(save_step(step).ok());
  damage(4, "manifest.json");
  damage(3, "rank-0.bin");  // only reading everything finds this
  ASSERT_TRUE(env_.remove_all(root_ + "/step-2/resolved.yaml").ok());
  const auto newest = newest_whole(env_, root_);
  ASSERT_TRUE(newest.ok());
  EXPECT_EQ(newest->dir, root_ + "/step-1");
  EXPECT_THAT(newest->warnings,
              ElementsAre(HasSubstr("manifest.json"), HasSubstr("step-3/rank-0.bin"),
                          HasSubstr("step-2/resolved.yaml")));
  damage(1, "rank-0.bin");
  const auto none = newest_whole(env_, root_);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().kind, ErrorKind::refused);
  EXPECT_THAT(none.error().message, HasSubstr("all 4 checkpoints are damaged"));
}

TEST_F(Folder, ARenamedCheckpointIsDamagedInAListAndReadableByItsPath) {
  ASSERT_TRUE(save_step(1).ok());
  ASSERT_TRUE(env_.rename(root_ + "/step-1", root_ + "/step-8").ok());
  EXPECT_THAT((*list(env_, root_))[0].damage, HasSubstr("its manifest says step 1"));
  expect_step(root_ + "/step-8", 1);
}

TEST_F(Folder, KeepLastKeepsTheNewest) {
  for (std::int64_t step = 1; step <= 5; ++step) save_keeping(step, 2);
  EXPECT_THAT(names_in_root(), ElementsAre("step-4", "step-5"));
  save_keeping(6, 0);
  EXPECT_EQ(names_in_root().size(), 3U);
}

TEST_F(Folder, KeepBestKeepsTheSmallestLossToo) {
  const std::vector<double> losses = {3, 1.5, 2, 1.75, std::nan("")};
  for (std::size_t i = 0; i < losses.size(); ++i)
    save_keeping(static_cast<std::int64_t>(i) + 1, 1, losses[i], true);
  EXPECT_THAT(names_in_root(), ElementsAre("step-2", "step-5"));
  save_keeping(6, 1, 1.25, true);
  EXPECT_THAT(names_in_root(), ElementsAre("step-6"));
}

TEST_F(Folder, DamagedOnesNeitherCountNorGo) {
  for (const std::int64_t step : {1, 2, 3}) ASSERT_TRUE(save_step(step).ok());
  damage(3, "manifest.json");
  save_keeping(4, 2);
  EXPECT_THAT(names_in_root(), ElementsAre("step-2", "step-3", "step-4"));
}

TEST_F(Folder, ASaveAfterAResumeFromAnOlderOneNeverRemovesItself) {
  for (const std::int64_t step : {10, 20, 30}) ASSERT_TRUE(save_step(step).ok());
  save_keeping(11, 1);
  EXPECT_THAT(names_in_root(), ElementsAre("step-11", "step-20", "step-30"));
  EXPECT_EQ(remove_newer(env_, root_, 11)->size(), 2U);
  EXPECT_THAT(names_in_root(), ElementsAre("step-11"));
}

TEST_F(Folder, SavingAStepAgainReplacesIt) {
  ASSERT_TRUE(save_step(1).ok());
  SaveOptions options = options_of(1);
  options.loss = 7;
  ASSERT_TRUE(save_step(env_, root_, 1, options).ok());
  EXPECT_THAT(names_in_root(), ElementsAre("step-1"));
  EXPECT_EQ(Checkpoint::open(env_, root_ + "/step-1")->loss(), 7.0);
  expect_step(root_ + "/step-1", 1);
}

TEST_F(Folder, LeftoversOfKilledSavesGoWithTheNextSave) {
  ASSERT_TRUE(save_step(1).ok());
  for (const char* name : {".step-2.tmp/rank-0.bin", ".trash-step-0/manifest.json"}) {
    ASSERT_TRUE(env_.make_dirs(parent_path(join_path(root_, name))).ok());
    ASSERT_TRUE(env_.write_file(join_path(root_, name), "half").ok());
  }
  EXPECT_EQ(newest_step(), 1);
  ASSERT_TRUE(save_step(3).ok());
  EXPECT_THAT(names_in_root(), ElementsAre("step-1", "step-3"));
}

TEST_F(Folder, AReplacedCheckpointCountsUntilItsSuccessorStands) {
  ASSERT_TRUE(save_step(5).ok());
  ASSERT_TRUE(env_.rename(root_ + "/step-5", root_ + "/.old-step-5").ok());
  EXPECT_EQ(newest_step(), 5);
  ASSERT_TRUE(save_step(6).ok());
  EXPECT_THAT(names_in_root(), ElementsAre("step-5", "step-6"));
}

}  // namespace
}  // namespace boreal::ckpt
