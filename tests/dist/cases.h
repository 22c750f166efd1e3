// Cases: every collective on made-up values, for any world: each result is compared with a slow
// twin, and hashed, so that worlds can be compared with each other to the bit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/world.h"

namespace boreal::dist::cases {

// What rank r of n holds at element i: of many magnitudes, so that another order of a sum shows.
float value(std::int64_t rank, std::int64_t i, std::int64_t salt);

// Names of what differs from its twin; empty: all is right. Appends one line "NAME HASH" a result.
std::vector<std::string> run_all(World& world, std::vector<std::string>& hashes);

}  // namespace boreal::dist::cases
