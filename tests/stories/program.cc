#include "tests/stories/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/check.h"
#include "base/env.h"

namespace boreal::stories {

namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::microseconds kPoll{200};

std::string text_of(const std::string& path) {
  const auto text = Env::real().read_file(path);
  return text.ok() ? *text : "";
}

}  // namespace

Program::Program(const std::string& working_dir, const std::string& log_dir,
                 const std::vector<std::string>& arguments,
                 const std::vector<std::string>& launcher)
    : log_dir_(log_dir) {
  std::vector<std::string> words = launcher;
  words.emplace_back(BOREAL_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
  const auto redirect = [&](int fd, const std::string& path, int flags) {
    CHECK_EQ(posix_spawn_file_actions_addopen(&actions, fd, path.c_str(), flags, 0644), 0);
  };
  redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
  redirect(STDOUT_FILENO, join_path(log_dir, "stdout"), O_WRONLY | O_CREAT | O_TRUNC);
  redirect(STDERR_FILENO, join_path(log_dir, "stderr"), O_WRONLY | O_CREAT | O_TRUNC);
  CHECK_EQ(posix_spawn_file_actions_addchdir_np(&actions, working_dir.c_str()), 0);
  const int code = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  CHECK_EQ(code, 0);
}

Program::~Program() {
  if (ended_) return;
  send(SIGKILL);
  wait();
}

void Program::send(int signal) const {
  if (!ended_) ::kill(pid_, signal);
}

bool Program::ended() {
  if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return ended_;
}

bool Program::wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (ended() || std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

Outcome Program::wait() {
  const auto deadline = std::chrono::steady_clock::now() + 2 * kPatience;
  while (!ended()) {
    if (std::chrono::steady_clock::now() > deadline) send(SIGKILL);
    std::this_thread::sleep_for(kPoll);
  }
  return {.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1,
          .signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0,
          .out = text_of(join_path(log_dir_, "stdout")),
          .err = text_of(join_path(log_dir_, "stderr"))};
}

}  // namespace boreal::stories
