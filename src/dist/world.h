// World: the ranks of a job, seen from one of them. A rank is a thread of this process, an MPI
// process, or the whole program alone; what runs in it cannot tell. Thread rule: a World belongs to
// the thread of its rank; ranks share nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dist/group.h"
#include "dist/traffic.h"

namespace boreal::dist {

struct WorldOptions {
  // A collective that takes longer is given up: the ranks that are missing are named and the world
  // ends. Above the longest time that ranks may drift apart (a save, an evaluation).
  double time_limit_s = 600;
  // Before each collective the ranks compare operation, group, shape, dtype and call site; those
  // that disagree are named with both call sites. Costs one small message a rank and collective.
  bool debug = false;
  // mpi: ranks of one host pass their data through memory that they share. False: by messages, as
  // between hosts.
  bool share_memory = true;
};

class World {
 public:
  class State;

  // This rank alone.
  World();
  explicit World(std::unique_ptr<State> state);
  ~World();
  World(World&&) noexcept;

  std::int64_t rank() const;
  std::int64_t size() const;
  bool is_main() const { return rank() == 0; }
  // Among the ranks on this host: for dividing its processors.
  std::int64_t local_rank() const;
  std::int64_t local_size() const;
  // "single", "threads", "mpi".
  std::string_view kind() const;

  const Group& all() const;
  // The group of these world ranks (rising, this rank among them). Every one of them asks for it
  // with the same axis; nobody else takes part. One list and axis give one group, as long as the
  // world.
  const Group& group(std::span<const std::int64_t> ranks, std::string_view axis);

  // What messages about this rank say of it: its mesh coordinate, and the step it is in.
  void describe(const std::string& coordinate);
  void at_step(std::int64_t step);

  // Since the last take_traffic() (or the start). Not while collectives run.
  Traffic take_traffic();

 private:
  std::unique_ptr<State> state_;
};

// Calls body once for each rank of the world that `kind` names (single, threads:N, mpi), each in
// its own thread or process, and ends the world. The error of the first rank that has one; of
// several processes rank 0 has its message, and the others an empty one. A rank that throws
// Failure, or returns an error that the others do not come to, ends them: threads by a Failure of
// their next collective, with MPI the whole job after one line on stderr that names the rank.
// usage: a world this build or launch cannot give (what to install; started by a launcher as one of
// several ranks without --world mpi, or the other way round).
Status run_world(const std::string& kind, const WorldOptions& options,
                 const std::function<Status(World&)>& body);

}  // namespace boreal::dist
