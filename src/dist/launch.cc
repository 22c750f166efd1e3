#include "dist/launch.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

namespace boreal::dist {

namespace {

constexpr auto kMainRankSpeaks = std::chrono::seconds(2);

std::int64_t number(const char* text) {
  if (text == nullptr) return 0;
  const std::string_view digits = text;
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return code == std::errc() && end == digits.data() + digits.size() ? value : 0;
}

}  // namespace

Launch read_launch(const std::function<const char*(const char*)>& look_up) {
  for (const auto& [size, rank] :
       {std::pair{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, {"PMI_SIZE", "PMI_RANK"}})
    if (const std::int64_t ranks = number(look_up(size)); ranks >= 1)
      return {ranks, size, number(look_up(rank))};
  // A shell inside an allocation has SLURM_NTASKS too: only a step that is a program has these.
  const bool step = look_up("SLURM_PROCID") != nullptr && look_up("SLURM_STEP_ID") != nullptr &&
                    look_up("SLURM_STEP_NUM_TASKS") != nullptr;
  if (const std::int64_t ranks = number(look_up("SLURM_STEP_NUM_TASKS")); step && ranks >= 1)
    return {ranks, "SLURM_STEP_NUM_TASKS", number(look_up("SLURM_PROCID"))};
  return {};
}

Launch read_launch() {
  return read_launch([](const char* name) -> const char* { return std::getenv(name); });
}

Status check_alone(std::string_view kind, const Launch& launch) {
  if (launch.ranks <= 1) return Done{};
  return wrong_usage(
      "a launcher started this process as one of {} ({}={}), but the world is {}, of one process: "
      "all {} would do the same work over each other; start it once, or add --world mpi",
      launch.ranks, launch.variable, launch.ranks, kind, launch.ranks);
}

Status check_size(std::int64_t mpi_ranks, const Launch& launch) {
  // One: perhaps of a shell in which another launcher was started.
  if (launch.ranks <= 1 || launch.ranks == mpi_ranks) return Done{};
  return wrong_usage(
      "the launcher started {} ranks ({}), but MPI counts {}: the launcher is of another MPI than "
      "the one this program was built with; start it with that one's mpirun",
      launch.ranks, launch.variable, mpi_ranks);
}

void let_main_rank_speak(const Launch& launch) {
  if (launch.rank > 0) std::this_thread::sleep_for(kMainRankSpeaks);
}

void print_last_line(const std::string& line) {
  // In one piece, so that lines of several ranks do not mix.
  std::fputs((line + "\n").c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace boreal::dist
