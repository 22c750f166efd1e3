// The world whose ranks are MPI processes. Thread rule: once, from the main thread.
#pragma once

#include <functional>

#include "dist/world.h"

namespace boreal::dist {

// usage where this build has no MPI.
Status run_mpi(const WorldOptions& options, const std::function<Status(World&)>& body);

}  // namespace boreal::dist
