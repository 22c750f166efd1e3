// The collectives, written once over the two primitives of a Transport. Thread rule: one thread at
// a time uses a Collectives.
#pragma once

#include <cstdint>
#include <vector>

#include "dist/transport.h"

namespace boreal::dist {

class Collectives {
 public:
  struct Sent {
    std::int64_t messages = 0;
    std::int64_t bytes = 0;
  };
  // Runs it to its end; throws Failure.
  Sent run(const Operation& op);

 private:
  void all_reduce(const Operation& op);
  void all_gather(const Operation& op);
  void reduce_scatter(const Operation& op);
  void broadcast(const Operation& op);
  void all_to_all(const Operation& op);
  void pass(const Operation& op, bool sends);
  void barrier();
  void gather_texts(const Operation& op);

  // Sends this rank's piece of [data, data + rows * width) to all and receives theirs into place.
  // `has_all` needs none of them.
  void gather_in_place(std::byte* data, std::int64_t rows, std::int64_t width,
                       std::int64_t has_all = -1);
  void clear();
  void move();
  void combine(ChunkSink& sink);

  std::int64_t begin(std::int64_t rows, std::int64_t rank) const { return rank * rows / size_; }

  Transport* transport_ = nullptr;
  std::int64_t rank_ = 0, size_ = 1;
  // Kept, so that nothing is allocated once the largest group has been seen.
  std::vector<Part> to_;
  std::vector<Room> from_;
  Sent sent_;
};

}  // namespace boreal::dist
