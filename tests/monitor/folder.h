// A folder of a test's own, emptied before and removed after it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/env.h"

namespace boreal::monitor {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir = join_path(testing::TempDir(),
                    std::string("boreal_monitor_") + info->test_suite_name() + "_" + info->name());
    ASSERT_TRUE(env.remove_all(dir).ok());
    ASSERT_TRUE(env.make_dirs(dir).ok());
  }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }

  // Without the syncs of Env::write_file, which cost more than what is tested.
  void put(const std::string& path, const std::string& content) {
    auto file = env.create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file.value()->append(content).ok());
  }

  Env& env = Env::real();
  std::string dir;
};

}  // namespace boreal::monitor
