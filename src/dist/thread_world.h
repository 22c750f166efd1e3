// The world whose ranks are threads of this process. Thread rule: run_threads() starts and joins
// them.
#pragma once

#include <cstdint>
#include <functional>

#include "dist/world.h"

namespace boreal::dist {

Status run_threads(std::int64_t ranks, const WorldOptions& options,
                   const std::function<Status(World&)>& body);

}  // namespace boreal::dist
