// Where a rank's threads sit, once the ranks have told each other what each may use.
// Thread rule: the thread that owns the rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/machine.h"
#include "device/placement.h"
#include "dist/world.h"

namespace boreal::dist {

// Every rank calls it, before it makes its pool. threads: of a rank; 0: one a core.
device::Placement place_rank(World& world, const device::Machine& machine, std::int64_t threads);

// What a rank tells the others: its host's name and the processors it may use.
std::string processors_text(const std::string& host, const std::vector<int>& mask);
// The ranks on the host of `rank`, from the texts of all in rank order.
device::HostRanks host_ranks(const std::vector<std::string>& texts, std::int64_t rank);

}  // namespace boreal::dist
