// A folder of small files for a test, removed with it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/env.h"

namespace boreal::corpus {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir = testing::TempDir() + "/boreal_" + info->test_suite_name() + "_" + info->name();
    ASSERT_TRUE(env.remove_all(dir).ok());
    ASSERT_TRUE(env.make_dirs(dir).ok());
  }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }

  // Writes dir/name and gives its path.
  std::string file(const std::string& name, std::string_view content) {
    const std::string path = join_path(dir, name);
    EXPECT_TRUE(env.write_file(path, content).ok());
    return path;
  }

  Env& env = Env::real();
  std::string dir;
};

// The message of a failed result; kind as expected.
template <class T>
std::string message_of(const Result<T>& result, ErrorKind kind) {
  EXPECT_FALSE(result.ok());
  if (result.ok()) return "";
  EXPECT_EQ(exit_code(result.error().kind), exit_code(kind));
  return result.error().message;
}

}  // namespace boreal::corpus
