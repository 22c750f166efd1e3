#include "tests/stories/ranks.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <thread>

namespace boreal::stories {

namespace {

constexpr std::chrono::seconds kLastBreath{10};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The value of a variable in the environment of a process, "" if it is not set.
std::string variable_of(pid_t pid, std::string_view name) {
  const auto text = Env::real().read_file(fmt::format("/proc/{}/environ", pid));
  if (!text.ok()) return "";
  std::istringstream stream(*text);
  for (std::string each; std::getline(stream, each, '\0');)
    if (each.starts_with(name) && each.size() > name.size() && each[name.size()] == '=')
      return each.substr(name.size() + 1);
  return "";
}

// Without the lines that say which world it was, and the hashes over them.
std::string but_for_the_world(const std::string& name, const std::string& content) {
  std::string kept;
  for (const std::string& line : lines_of(content)) {
    if (name == "resolved.yaml" && line.starts_with("world: ")) continue;
    if (name == "manifest.json" &&
        (line.find("\"resolved.yaml\"") != std::string::npos || line.starts_with("\"xxh3_128\": ")))
      continue;
    kept += line + "\n";
  }
  return kept;
}

}  // namespace

std::string Ranks::world() const {
  if (mpi) return "mpi";
  return count == 1 ? "single" : fmt::format("threads:{}", count);
}

std::vector<std::string> Ranks::words() const {
  std::vector<std::string> words = {"--world", world(), "--set", "threads=1"};
  for (const auto& [key, size] :
       {std::pair{"dp_shard", shard}, {"dp_replicate", replicate}, {"tp", tp}}) {
    if (size == 1) continue;
    words.emplace_back("--set");
    words.push_back(fmt::format("mesh.{}={}", key, size));
  }
  return words;
}

void RanksStory::SetUp() {
  Story::SetUp();
  // The tests may run inside a job themselves.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    ::unsetenv(name);
  for (const char* name :
       {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle"})
    ::setenv(name, "1", 1);
  set_grace(0);
  // MPI keeps what it took, which the address sanitizer would call a leak.
  const char* asan = ::getenv("ASAN_OPTIONS");
  ::setenv("ASAN_OPTIONS", (std::string(asan == nullptr ? "" : asan) + ":detect_leaks=0").c_str(),
           1);
  // What a killed job leaves goes with the story.
  ASSERT_TRUE(env.make_dirs(path("launcher")).ok());
  ::setenv("OMPI_MCA_orte_tmpdir_base", path("launcher").c_str(), 1);
  ::setenv("OMPI_MCA_btl_vader_backing_directory", path("launcher").c_str(), 1);
}

void RanksStory::set_grace(int seconds) {
  ::setenv("OMPI_MCA_odls_base_sigkill_timeout", std::to_string(seconds).c_str(), 1);
}

void RanksStory::TearDown() {
  EXPECT_TRUE(all_gone()) << "a process is left behind";
  Story::TearDown();
}

bool RanksStory::has_mpirun() {
  std::istringstream folders(::getenv("PATH") == nullptr ? "" : ::getenv("PATH"));
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access(join_path(folder, "mpirun").c_str(), X_OK) == 0) return true;
  return false;
}

std::vector<std::string> RanksStory::mpirun(std::int64_t ranks) {
  return {"mpirun", "-n", std::to_string(ranks), "--oversubscribe"};
}

std::unique_ptr<Program> RanksStory::start_on(const Ranks& ranks,
                                              std::vector<std::string> arguments) {
  const std::vector<std::string> words = ranks.words();
  arguments.insert(arguments.end(), words.begin(), words.end());
  return start(arguments, ranks.mpi ? mpirun(ranks.count) : std::vector<std::string>{});
}

void RanksStory::trained_on(const Ranks& ranks, const std::string& out,
                            const std::vector<std::string>& more) {
  const Outcome outcome = run_on(ranks, train_line(out, more));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
}

std::vector<pid_t> RanksStory::processes() const {
  std::vector<pid_t> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", none)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (code != std::errc() || end != name.data() + name.size() || pid == ::getpid()) continue;
    if (std::filesystem::read_symlink(entry.path() / "cwd", none) == std::filesystem::path(dir))
      found.push_back(pid);
  }
  return found;
}

std::map<std::int64_t, pid_t> RanksStory::rank_processes() const {
  std::map<std::int64_t, pid_t> ranks;
  for (const pid_t pid : processes()) {
    const std::string rank = variable_of(pid, "OMPI_COMM_WORLD_RANK");
    if (!rank.empty()) ranks[std::stoll(rank)] = pid;
  }
  return ranks;
}

bool RanksStory::all_gone() const {
  const auto deadline = std::chrono::steady_clock::now() + kLastBreath;
  while (!processes().empty()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::int64_t RanksStory::rows_written(const std::string& out) const {
  const auto text = env.read_file(path(out + "/metrics.jsonl"));
  return text.ok() ? std::ranges::count(*text, '\n') : 0;
}

bool RanksStory::saving(const std::string& out) const {
  const auto names = env.list_dir(path(out + "/checkpoints"));
  return names.ok() && std::ranges::any_of(*names, [](const std::string& name) {
           return name.starts_with(".step-");
         });
}

std::string RanksStory::last_checkpoint(const std::string& out) const {
  std::int64_t last = -1;
  for (const std::string& name : checkpoints(out)) last = std::max(last, std::stol(name.substr(5)));
  return fmt::format("{}/checkpoints/step-{}", out, last);
}

void RanksStory::expect_same_run(const std::string& out, const std::string& other) const {
  expect_same_metrics(out, other);
  const auto ours = files_of(last_checkpoint(out));
  const auto theirs = files_of(last_checkpoint(other));
  EXPECT_FALSE(ours.empty()) << out;
  EXPECT_EQ(ours.size(), theirs.size()) << out << " and " << other;
  for (const auto& [name, content] : ours) {
    const auto found = theirs.find(name);
    EXPECT_TRUE(found != theirs.end() &&
                but_for_the_world(name, content) == but_for_the_world(name, found->second))
        << name << " of " << last_checkpoint(out) << " and " << last_checkpoint(other);
  }
}

void RanksStory::expect_near_metrics(const std::string& out, const std::string& other,
                                     double relative) const {
  const auto ours = metrics(out);
  const auto theirs = metrics(other);
  ASSERT_EQ(ours.size(), theirs.size()) << out << " and " << other;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].step, theirs[i].step);
    EXPECT_NEAR(ours[i].loss, theirs[i].loss, relative * theirs[i].loss)
        << out << " and " << other << " after step " << ours[i].step;
  }
}

void RanksStory::expect_said_once(const std::string& text) {
  std::map<std::string, int> said;
  for (const std::string& line : lines_of(text)) {
    if (line.find_first_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos) continue;
    EXPECT_EQ(++said[line], 1) << line << "\n stands twice in\n" << text;
  }
}

void RanksStory::expect_one_error(const Outcome& outcome, int code,
                                  const std::vector<std::string>& texts) {
  expect_error(outcome, code, texts);
  const auto lines = lines_of(outcome.err);
  EXPECT_EQ(std::ranges::count_if(
                lines, [](const std::string& line) { return line.starts_with("boreal: "); }),
            1)
      << outcome.err;
}

}  // namespace boreal::stories
