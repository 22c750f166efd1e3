// Peer: a process of its own, spoken to in lines: "set up CASE" is answered by "ok" or "error WHY",
// "run SECONDS" by the seconds of one run of the case. PyTorch is one (peer_torch.py), our ranks
// under mpirun are another (all_reduce_ranks.cc). It sleeps while others run. Thread rule: one
// thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace boreal::bench {

class Peer {
 public:
  // Starts it with such a command. If that fails, says so on stderr, and set_up() is false for
  // every case.
  explicit Peer(std::vector<std::string> command);
  static std::vector<std::string> torch(const std::string& python, std::int64_t threads);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // False, with the reason on stderr, if the peer cannot do this case.
  bool set_up(const std::string& what);
  // Repeats the case for at least so long.
  double seconds_of_a_run(double sample_s);
  // Forgets the case.
  void clear() { ask("clear"); }
  pid_t process() const { return process_; }

 private:
  std::string ask(const std::string& question);

  pid_t process_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace boreal::bench
