// A story of several ranks: the same line in a world of threads or of MPI processes, and who is
// left of it. Thread rule: one thread's.
#pragma once

#include <sys/types.h>

#include <map>

#include "tests/stories/story.h"

namespace boreal::stories {

// Where the ranks are and how they share the work.
struct Ranks {
  std::int64_t count = 1;
  bool mpi = false;
  std::int64_t shard = 1, replicate = 1, tp = 1;

  std::string world() const;
  // "--world W --set mesh...", each a word.
  std::vector<std::string> words() const;
};

class RanksStory : public Story {
 protected:
  void SetUp() override;
  void TearDown() override;

  // mpirun starts programs here. A test that needs it and has it not is skipped: NEEDS_MPIRUN.
  static bool has_mpirun();
  static std::vector<std::string> mpirun(std::int64_t ranks);
  // Between the SIGTERM and the SIGKILL with which mpirun ends the ranks of a job that failed. It
  // gives them 1, but waits for that also where all are gone.
  static void set_grace(int seconds);

  // `boreal arguments...` on these ranks.
  std::unique_ptr<Program> start_on(const Ranks& ranks, std::vector<std::string> arguments);
  Outcome run_on(const Ranks& ranks, const std::vector<std::string>& arguments) {
    return start_on(ranks, arguments)->wait();
  }
  void trained_on(const Ranks& ranks, const std::string& out,
                  const std::vector<std::string>& more = {});

  // Those that work in the folder of the story, the launcher among them.
  std::vector<pid_t> processes() const;
  // Of MPI: rank -> process.
  std::map<std::int64_t, pid_t> rank_processes() const;
  // False: some are still there after ten seconds.
  bool all_gone() const;

  std::int64_t rows_written(const std::string& out) const;
  bool saving(const std::string& out) const;
  std::string last_checkpoint(const std::string& out) const;

  // Metrics and all that training goes on from. Worlds of threads and of MPI write the same: in
  // resolved.yaml one line says which it was, and the manifest has the hash of that.
  void expect_same_run(const std::string& out, const std::string& other) const;
  // Losses and gradient norms equal to rounding.
  void expect_near_metrics(const std::string& out, const std::string& other, double relative) const;
  // Each line of it only once: ranks that all speak say the same.
  static void expect_said_once(const std::string& text);
  // One message of the program with these texts, and the code.
  static void expect_one_error(const Outcome& outcome, int code,
                               const std::vector<std::string>& texts);
};

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): GTEST_SKIP returns from the test.
#define NEEDS_MPIRUN() \
  if (!has_mpirun())   \
  GTEST_SKIP() << "skipped: there is no mpirun to start processes; ./run setup mpi installs it"

}  // namespace boreal::stories
