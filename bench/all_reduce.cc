// All-reduce between two ranks of this host, threads and processes, against gloo. GB/s counts the
// tensor once: each rank must read and write it at least once, so the machine's peak is a quarter
// of its memory bandwidth.
#include <fmt/format.h>

#include "base/check.h"
#include "base/env.h"
#include "bench/peer.h"
#include "bench/session.h"
#include "device/machine.h"
#include "dist/place_rank.h"
#include "dist/world.h"
#include "tensor/memory.h"

namespace boreal::bench {

namespace {

constexpr std::int64_t kBytes = std::int64_t{64} << 20;

Case the_case(const Session& session, const std::string& world) {
  return {.name = "all_reduce.64MiB." + world + ".fp32",
          .unit = "GB/s",
          .units = static_cast<double>(kBytes) / 1e9,
          .peak_per_s = session.peak_read_gb_per_s() / 4,
          .peak_name = "memory",
          .peer = fmt::format("all_reduce fp32 {}", kBytes),
          .run = {}};
}

void measure_threads(Session& session) {
  Case c = the_case(session, "threads");
  if (!session.wants(c.name)) return;
  const Status status = dist::run_world("threads:2", {}, [&](dist::World& world) -> Status {
    // Each on a core of its own, as in a run and as mpirun does it.
    const device::Pool pool(dist::place_rank(world, device::read_machine(Env::real()), 1));
    const dist::Group& all = world.all();
    const tensor::Block block(kBytes);
    const tensor::Tensor x(block.data(), DType::f32, tensor::Shape{kBytes / 4});
    if (world.is_main()) {
      c.run = [&] {
        all.sum(1);
        all.all_reduce(session.ctx(), x).wait();
      };
      session.measure(c);
      all.sum(0);
      return Done{};
    }
    while (all.sum(0) > 0) all.all_reduce(session.ctx(), x).wait();
    return Done{};
  });
  CHECK(status.ok(), "{}", status.error().message);
}

#ifdef BOREAL_MPIEXEC
void measure_processes(Session& session, const std::string& world) {
  Case c = the_case(session, world);
  if (!session.wants(c.name)) return;
  Peer ranks({"env", "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
              "OMPI_MCA_rmaps_base_oversubscribe=1", BOREAL_MPIEXEC, "-n", "2",
              BOREAL_ALL_REDUCE_RANKS, world});
  if (!ranks.set_up(c.peer)) return;
  c.elsewhere = [&](double sample_s) { return ranks.seconds_of_a_run(sample_s); };
  session.measure(c);
}
#endif

}  // namespace

void run_cases(Session& session) {
  measure_threads(session);
#ifdef BOREAL_MPIEXEC
  measure_processes(session, "mpi");
  measure_processes(session, "mpi_messages");
#endif
}

}  // namespace boreal::bench
