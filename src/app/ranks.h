// A verb on the ranks of its world: starts them, gives each what it needs, and ends them. What a
// verb prints and what is not a checkpoint's is rank 0's business. Thread rule: the main thread;
// the bodies run on a thread a rank.
#pragma once

#include <functional>

#include "app/stages.h"

namespace boreal::app {

// Reads the spec, starts its world and calls body with a run on every rank.
Status on_ranks_of_spec(const Arguments& args, const std::function<Status(Run&)>& body,
                        const Opening& how = {});

// A verb that starts from a model's folder: the ranks of --world share each layer.
struct Seat {
  dist::World& world;
  std::unique_ptr<device::Pool> pool;
};
Status on_ranks(const Arguments& args, const std::function<Status(Seat&)>& body);

}  // namespace boreal::app
