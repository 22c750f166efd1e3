#include "base/staged_folder.h"

#include <gtest/gtest.h>

namespace boreal {
namespace {

class StagedFolderTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env.make_dirs(dir).ok()); }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }
  // Slashes at the end included.
  std::string in(const std::string& name) const { return dir + "/" + name; }
  std::vector<std::string> names() { return env.list_dir(dir).value(); }

  Env& env = Env::real();
  std::string dir = testing::TempDir() + "/boreal_staged_folder_test";
};

TEST_F(StagedFolderTest, AppearsWholeWithItsCommit) {
  auto staged = StagedFolder::create(env, in("a//")).value();
  ASSERT_TRUE(env.write_file(join_path(staged.path(), "x"), "1").ok());
  EXPECT_FALSE(env.exists(in("a")));
  ASSERT_TRUE(staged.commit().ok());
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
  EXPECT_EQ(*env.read_file(in("a/x")), "1");
}

TEST_F(StagedFolderTest, CommitsOneFolderOfItself) {
  auto staged = StagedFolder::create(env, in("a")).value();
  ASSERT_TRUE(env.make_dirs(join_path(staged.path(), "inner")).ok());
  ASSERT_TRUE(env.write_file(join_path(staged.path(), "inner/x"), "1").ok());
  ASSERT_TRUE(staged.commit("inner").ok());
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
  EXPECT_EQ(*env.list_dir(in("a")), std::vector<std::string>{"x"});
}

TEST_F(StagedFolderTest, LeavesNothingWithoutACommit) {
  {
    auto staged = StagedFolder::create(env, in("a")).value();
    ASSERT_TRUE(env.write_file(join_path(staged.path(), "x"), "1").ok());
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(StagedFolderTest, TouchesNoFolderOfAnotherMaker) {
  ASSERT_TRUE(env.make_dirs(in("a.tmp")).ok());
  ASSERT_TRUE(env.write_file(in("a.tmp/notes"), "precious").ok());
  auto first = StagedFolder::create(env, in("a")).value();
  auto second = StagedFolder::create(env, in("a")).value();
  EXPECT_NE(first.path(), second.path());
  ASSERT_TRUE(first.commit().ok());
  EXPECT_EQ(*env.read_file(in("a.tmp/notes")), "precious");
}

TEST_F(StagedFolderTest, RefusesAnEmptyNameAndOneThatExists) {
  EXPECT_EQ(exit_code(StagedFolder::create(env, "").error().kind), 2);
  const auto taken = StagedFolder::create(env, dir);
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.error().message.find("exists already"), std::string::npos);
}

}  // namespace
}  // namespace boreal
