// What the launcher of this process (mpirun, srun) said of it, and whether that fits the world.
// Thread rule: pure functions of the environment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace boreal::dist {

struct Launch {
  std::int64_t ranks = 1;
  std::string variable;  // that says so; empty: no launcher
  std::int64_t rank = 0;
};

// `look_up` is getenv.
Launch read_launch(const std::function<const char*(const char*)>& look_up);
Launch read_launch();

// usage: this process is one of several, but `kind` is a world of one process.
Status check_alone(std::string_view kind, const Launch& launch);
// usage: the MPI library counts other ranks than the launcher started.
Status check_size(std::int64_t mpi_ranks, const Launch& launch);

// Before a process tells an error that all processes of its job may have: a launcher ends the job
// when its rank 0 fails, so another rank speaks only where that did not happen. Returns at once in
// rank 0.
void let_main_rank_speak(const Launch& launch);

// To stderr: the line of a rank that ends its job.
void print_last_line(const std::string& line);

}  // namespace boreal::dist
