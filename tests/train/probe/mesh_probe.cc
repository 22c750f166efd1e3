// A MeshJob in a world of the caller's choice, so that it can be started by mpirun:
//   mesh_probe WORLD FAMILY DTYPE STEPS REPLICATE SHARD TP ROWS_CUT SLOW FILE
// Rank 0 writes MeshOutcome::bytes() to FILE.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/env.h"
#include "tests/train/mesh_job.h"

int main(int argc, char** argv) {
  using namespace boreal;
  if (argc != 11) return 2;
  const auto number = [&](int i) { return std::strtoll(argv[i], nullptr, 10); };
  train::MeshJob job{.family = argv[2],
                     .dtype = std::string(argv[3]) == "bf16" ? DType::bf16 : DType::f32,
                     .mesh = {.dp_replicate = number(5),
                              .dp_shard = number(6),
                              .tp = number(7),
                              .sequence_parallel = number(8) != 0},
                     .steps = number(4)};
  job.slow = number(9) != 0;
  const Status status =
      dist::run_world(argv[1], {.time_limit_s = 60}, [&](dist::World& world) -> Status {
        const train::MeshOutcome outcome = train::run(world, job);
        if (!world.is_main()) return Done{};
        return Env::real().write_file(argv[10], outcome.bytes());
      });
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status.ok() ? 0 : 1;
}
