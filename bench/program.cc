// What a user sees of the whole program `boreal train`: how long until it trains, and how much
// memory it takes, against a PyTorch process that does the same. Anonymous resident memory, looked
// at every few milliseconds from outside; of PyTorch, what it has above its imports and while
// steps run that are not the first.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "bench/peer.h"
#include "bench/session.h"
#include "bench/training_case.h"

namespace boreal::bench {

namespace {

constexpr std::int64_t kSteps = 3;
constexpr auto kLook = std::chrono::milliseconds(3);

double anonymous_bytes(pid_t process) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  std::string word;
  double kb = 0;
  while (status >> word)
    if (word == "RssAnon:") {
      status >> kb;
      break;
    }
  return kb * 1024;
}

// The largest amount while it lives.
class Watcher {
 public:
  explicit Watcher(pid_t process)
      : thread_([this, process] {
          while (!stop_) {
            peak_ = std::max(peak_, anonymous_bytes(process));
            std::this_thread::sleep_for(kLook);
          }
        }) {}
  double stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return peak_;
  }
  ~Watcher() { stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  std::atomic<bool> stop_{false};
  double peak_ = 0;
  std::thread thread_;
};

struct Seen {
  double first_s = 0;  // from the start to the end of the first step
  double step_s = 0;   // the last one's
  double peak_bytes = 0;
};

pid_t start(const std::vector<std::string>& words) {
  std::vector<std::string> copy = words;
  std::vector<char*> arguments;
  for (std::string& word : copy) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t process = -1;
  const int failed =
      posix_spawn(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  CHECK(failed == 0, "cannot start {}", words[0]);
  return process;
}

// Runs until so many steps are in its metrics, and ends it.
Seen watch_program(const std::string& recipe, const std::vector<std::string>& sets,
                   std::int64_t steps) {
  namespace fs = std::filesystem;
  const fs::path out = fs::temp_directory_path() / fmt::format("boreal_bench_{}", getpid());
  fs::remove_all(out);
  std::vector<std::string> words = {BOREAL_PROGRAM, "train",   recipe,  "--out",
                                    out.string(),   "--quiet", "--set", "train.steps=100"};
  for (const std::string& set : sets) words.insert(words.end(), {"--set", set});
  const Clock& clock = Clock::real();
  const double start_s = clock.now_s();
  const pid_t process = start(words);
  Watcher watcher(process);
  double first_s = 0;
  double step_s = 0;
  std::int64_t lines = 0;
  while (lines < steps) {
    std::this_thread::sleep_for(kLook);
    CHECK(waitpid(process, nullptr, WNOHANG) == 0, "{} ended by itself", fmt::join(words, " "));
    std::ifstream metrics(out / "metrics.jsonl");
    lines = 0;
    for (std::string line; std::getline(metrics, line) && !metrics.eof(); ++lines)
      step_s = nlohmann::json::parse(line).at("step_ms").get<double>() * 1e-3;
    if (lines >= 1 && first_s == 0) first_s = clock.now_s() - start_s;
  }
  const double peak = watcher.stop();
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
  fs::remove_all(out);
  return {first_s, step_s, peak};
}

// The same of a fresh PyTorch process; nothing where it cannot.
std::optional<Seen> watch_peer(const Options& options, const std::string& what) {
  const Clock& clock = Clock::real();
  const double start_s = clock.now_s();
  Peer peer(Peer::torch(options.oracle, options.threads));
  const double imports = anonymous_bytes(peer.process());
  if (!peer.set_up(what)) return std::nullopt;
  const double first_s = clock.now_s() - start_s;
  Watcher watcher(peer.process());
  double step_s = 0;
  for (std::int64_t i = 1; i < kSteps; ++i) step_s = peer.seconds_of_a_run(0);
  return Seen{first_s, step_s, watcher.stop() - imports};
}

struct Sizes {
  std::string name, recipe;
  std::vector<std::string> sets;
  std::string peer;
};

void measure(Session& session, const Sizes& s) {
  const std::string start_name = "start." + s.name;
  const std::string memory_name = "memory." + s.name;
  if (!session.wants(start_name) && !session.wants(memory_name)) return;
  const Options& options = session.options();
  for (const std::string variant : {"eager", "compiled"}) {
    if (variant == "compiled" && (!options.compiled || options.oracle.empty())) continue;
    std::vector<double> start_s, start_peer_s, peak_gb, peak_peer_gb;
    // One run of each tells the memory to a percent, and theirs take minutes; our start is seconds.
    double step_s = 0;
    for (std::int64_t run = 0; run < options.runs; ++run) {
      const Seen ours = watch_program(s.recipe, s.sets, run == 0 ? kSteps : 1);
      if (run == 0) step_s = ours.step_s, peak_gb.push_back(ours.peak_bytes * 1e-9);
      start_s.push_back(ours.first_s - step_s);
      if (run > 0 || options.oracle.empty()) continue;
      const auto theirs = watch_peer(options, variant + " " + s.peer);
      if (!theirs) continue;
      start_peer_s.push_back(theirs->first_s - theirs->step_s);
      peak_peer_gb.push_back(theirs->peak_bytes * 1e-9);
    }
    if (session.wants(start_name))
      session.amounts(start_name, "s", start_s, start_peer_s, "pytorch " + variant);
    if (session.wants(memory_name))
      session.amounts(memory_name, "GB", peak_gb, peak_peer_gb, "pytorch " + variant);
  }
}

}  // namespace

void run_cases(Session& session) {
  for (const DType dtype : {DType::bf16, DType::f32})
    for (const std::string name : {"gpt2_124m", "llama_162m"}) {
      const std::string type(name_of(dtype));
      measure(session, {.name = name + "." + type,
                        .recipe = fmt::format("{}/recipes/bench_{}.yaml", BOREAL_SOURCE_DIR, name),
                        .sets = {"model.dtype=" + type},
                        .peer = peer_step(of_recipe(name, dtype), 4, 1024)});
    }
  measure(session, {.name = "small.bf16",
                    .recipe = BOREAL_SOURCE_DIR "/recipes/bench_small.yaml",
                    .sets = {},
                    .peer = peer_step(of_recipe("small", DType::bf16), 8, 256)});
}

}  // namespace boreal::bench
