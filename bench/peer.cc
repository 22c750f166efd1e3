#include "bench/peer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "base/check.h"

namespace boreal::bench {

std::vector<std::string> Peer::torch(const std::string& python, std::int64_t threads) {
  return {python, BOREAL_SOURCE_DIR "/bench/peer_torch.py", std::to_string(threads)};
}

Peer::Peer(std::vector<std::string> command) {
  int down[2] = {-1, -1};
  int up[2] = {-1, -1};
  CHECK(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0, "no pipe to the peer");
  std::signal(SIGPIPE, SIG_IGN);  // a peer that died is noticed by its missing answer
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, down[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, up[1], STDOUT_FILENO);
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (posix_spawnp(&process_, arguments[0], &actions, nullptr, arguments.data(), environ) != 0)
    process_ = -1;
  posix_spawn_file_actions_destroy(&actions);
  close(down[0]);
  close(up[1]);
  to_ = fdopen(down[1], "w");
  from_ = fdopen(up[0], "r");
  if (const std::string answer = ask("hello"); answer != "ok")
    fmt::print(stderr, "bench: {} did not start: {}\n", fmt::join(command, " "), answer);
}

Peer::~Peer() {
  if (to_ != nullptr) std::fclose(to_);  // the end of its input ends it
  if (from_ != nullptr) std::fclose(from_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
}

std::string Peer::ask(const std::string& question) {
  if (process_ < 0 || to_ == nullptr || from_ == nullptr) return "no process";
  // A broken pipe shows in the answer that does not come.
  std::fprintf(to_, "%s\n", question.c_str());
  std::fflush(to_);
  std::array<char, 512> line{};
  if (std::fgets(line.data(), static_cast<int>(line.size()), from_) == nullptr) return "no answer";
  std::string answer = line.data();
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  return answer;
}

bool Peer::set_up(const std::string& what) {
  const std::string answer = ask("set up " + what);
  if (answer == "ok") return true;
  fmt::print(stderr, "bench: no peer for {}: {}\n", what, answer);
  return false;
}

double Peer::seconds_of_a_run(double sample_s) {
  const std::string answer = ask(fmt::format("run {}", sample_s));
  const double seconds = std::strtod(answer.c_str(), nullptr);
  CHECK(seconds > 0, "the peer answered \"{}\"", answer);
  return seconds;
}

}  // namespace boreal::bench
