#include "app/ranks.h"

#include "device/machine.h"
#include "dist/place_rank.h"

namespace boreal::app {

Status on_ranks_of_spec(const Arguments& args, const std::function<Status(Run&)>& body,
                        const Opening& how) {
  ASSIGN_OR_RETURN(const spec::RunSpec spec, read_spec(args));
  const dist::WorldOptions options{.time_limit_s = spec.dist.time_limit_s,
                                   .debug = spec.dist.debug};
  return dist::run_world(spec.world, options, [&](dist::World& world) -> Status {
    ASSIGN_OR_RETURN(Run run, open_run(args, world, how));
    return body(run);
  });
}

Status on_ranks(const Arguments& args, const std::function<Status(Seat&)>& body) {
  const std::string world = args.world.empty() ? "single" : args.world;
  return dist::run_world(world, {}, [&](dist::World& ranks) -> Status {
    const device::Machine machine = device::read_machine(Env::real());
    ASSIGN_OR_RETURN(auto pool, device::Pool::start(dist::place_rank(ranks, machine, 0)));
    Seat seat{.world = ranks, .pool = std::move(pool)};
    return body(seat);
  });
}

}  // namespace boreal::app
