// A folder with a small table, a spec that trains a tiny model on it in a second, and the program.
// Everything is removed with the test. Thread rule: one thread's.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "monitor/metrics.h"
#include "tests/stories/program.h"

namespace boreal::stories {

class Story : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Writes dir/name and gives its path.
  std::string file(const std::string& name, const std::string& content);
  std::string path(const std::string& name) const { return join_path(dir, name); }
  std::string read(const std::string& name) const;
  void flip(const std::string& name, std::size_t at, unsigned char mask);

  std::unique_ptr<Program> start(const std::vector<std::string>& arguments,
                                 const std::vector<std::string>& launcher = {});
  Outcome run(const std::vector<std::string>& arguments) { return start(arguments)->wait(); }
  // `boreal train SPEC --quiet --out OUT more...`
  std::vector<std::string> train_line(const std::string& out,
                                      const std::vector<std::string>& more = {}) const;
  Outcome train(const std::string& out, const std::vector<std::string>& more = {}) {
    return run(train_line(out, more));
  }
  // The same, and it must succeed.
  void trained(const std::string& out, const std::vector<std::string>& more = {});

  // Expects the exit code, one message on stderr that holds each of the texts, and no crash.
  static void expect_error(const Outcome& outcome, int code, const std::vector<std::string>& texts);

  // The rows of `out`, times aside, are the first ones of `longer`.
  void expect_first_rows(const std::string& out, const std::string& longer) const;

  // Content of each file of a folder, by name.
  std::map<std::string, std::string> files_of(const std::string& name) const;
  void expect_same_files(const std::string& folder, const std::string& other) const;
  std::vector<monitor::StepMetrics> metrics(const std::string& out) const;
  void expect_same_metrics(const std::string& out, const std::string& other) const;
  // Names of the committed checkpoints of a run.
  std::vector<std::string> checkpoints(const std::string& out) const;
  // Names in a folder that a save or write_file leaves only when it is killed.
  std::vector<std::string> leftovers(const std::string& folder) const;

  Env& env = Env::real();
  std::string dir;
  std::string spec;  // path of the spec
  std::int64_t steps = 0;

 private:
  std::int64_t started_ = 0;
};

}  // namespace boreal::stories
