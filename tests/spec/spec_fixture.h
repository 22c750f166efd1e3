// A folder of spec files, and the verbs of the spec tests. Thread rule: one thread.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "spec/node.h"
#include "spec/reader.h"

namespace boreal::spec {

class SpecFolder : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir = join_path(testing::TempDir(), std::string("boreal_spec_") + info->name());
    ASSERT_TRUE(env.remove_all(dir).ok());
    ASSERT_TRUE(env.make_dirs(dir).ok());
  }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }

  std::string path(const std::string& name) const { return join_path(dir, name); }

  // Not durable, on purpose: thousands of them are written.
  void write(const std::string& name, const std::string& text) const {
    std::ofstream file(path(name), std::ios::binary | std::ios::trunc);
    file << text;
    ASSERT_TRUE(file.good());
  }

  Result<RunSpec> read(const std::string& text, const std::vector<std::string>& sets = {}) {
    write("run.yaml", text);
    return read_run_spec(env, path("run.yaml"), sets);
  }

  // The error's message, which begins with "PLACE: "; PLACE is a file of the folder and a line, or
  // a --set.
  void expect_refused(const std::string& text, const std::vector<std::string>& sets,
                      const std::string& place, const std::string& message) {
    const auto spec = read(text, sets);
    ASSERT_FALSE(spec.ok()) << "accepted:\n" << text;
    const std::string where = place.starts_with("--set") ? place : path(place);
    EXPECT_EQ(spec.error().message, where + ": " + message) << text;
    EXPECT_EQ(exit_code(spec.error().kind), 2);
  }

  Env& env = Env::real();
  std::string dir;
};

}  // namespace boreal::spec
