// Transport: how bytes get from rank to rank within one group. Two primitives, called by all ranks
// of the group in the same order; all collectives are written on them once (collectives.h), so that
// the worlds agree to the bit. Both return when this rank's memory is its own again, and throw
// Failure when the time limit of the Watch is over. Thread rule: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dist/operation.h"

namespace boreal::dist {

struct Part {
  const std::byte* data = nullptr;
  std::int64_t bytes = 0;
};

struct Room {
  std::byte* data = nullptr;
  std::int64_t bytes = 0;
};

// Takes what combine() brings: chunks[r] holds `bytes` bytes of rank r's slice for this rank, from
// byte `offset` of it. Chunks come in order.
class ChunkSink {
 public:
  virtual void take(std::span<const std::byte* const> chunks, std::int64_t offset,
                    std::int64_t bytes) = 0;

 protected:
  ~ChunkSink() = default;
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual std::int64_t rank() const = 0;
  virtual std::int64_t size() const = 0;

  // A collective begins. Here or at the first primitive ranks that do not fit are found; by
  // messages between hosts only with WorldOptions::debug, else only where lengths differ.
  virtual void announce(const Call& call) = 0;
  // to[r] goes to rank r and from[r] comes from it; the own entries are not looked at. Rank r's
  // to[me] is as long as my from[r].
  virtual void move(std::span<const Part> to, std::span<const Room> from) = 0;
  // slices[r] is needed by rank r; the sink sees every rank's slice for this rank, the own one
  // included, in cache-sized chunks. The sink may write over the own slice's chunk.
  virtual void combine(std::span<const Part> slices, ChunkSink& sink) = 0;

  std::int64_t next_sequence() { return ++sequence_; }

 private:
  std::int64_t sequence_ = 0;
};

}  // namespace boreal::dist
