#include "dist/mpi_world.h"

namespace boreal::dist {

Status run_mpi(const WorldOptions&, const std::function<Status(World&)>&) {
  return wrong_usage(
      "world mpi: this build has no MPI; install libopenmpi-dev and openmpi-bin, then build again");
}

}  // namespace boreal::dist
