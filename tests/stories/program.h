// Runs the real program, alone or under a launcher: starts it in a folder, sends it signals, waits
// for it, and keeps what it printed. Thread rule: one thread's.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace boreal::stories {

struct Outcome {
  int code = -1;    // exit code; -1 if a signal ended it
  int signal = 0;   // the signal that ended it, or 0
  std::string out;  // stdout
  std::string err;  // stderr
};

class Program {
 public:
  // Starts `launcher... boreal arguments...` in working_dir; its output goes to two files in
  // log_dir.
  Program(const std::string& working_dir, const std::string& log_dir,
          const std::vector<std::string>& arguments, const std::vector<std::string>& launcher = {});
  // Kills it if it still runs.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void send(int signal) const;
  bool ended();
  // True once condition() is; false if the program ended, or a minute passed, before.
  bool wait_until(const std::function<bool()>& condition);
  // Kills it after two minutes: what hangs fails its test.
  Outcome wait();

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
  std::string log_dir_;
};

}  // namespace boreal::stories
