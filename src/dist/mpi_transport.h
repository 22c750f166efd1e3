// A group's transport over MPI point-to-point messages: both primitives go in rounds of one chunk a
// pair of ranks, a few rounds under way at a time. Thread rule: Transport's.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "dist/mpi_port.h"
#include "dist/transport.h"
#include "dist/watch.h"
#include "tensor/memory.h"

namespace boreal::dist {

class MpiTransport final : public Transport {
 public:
  // ranks: the group's world ranks.
  MpiTransport(MpiPort& port, const Watch& watch, std::span<const std::int64_t> ranks,
               std::string_view axis);

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(ranks_.size()); }
  void announce(const Call& call) override;
  void move(std::span<const Part> to, std::span<const Room> from) override;
  void combine(std::span<const Part> slices, ChunkSink& sink) override;

 private:
  static constexpr std::int64_t kDepth = 3;  // rounds under way

  // Sends the round's chunks of `to`; rooms_ are those of this round alone.
  void post(std::span<const Part> to, std::int64_t chunk, std::int64_t round);
  void finish(std::int64_t round);
  std::byte* staging(std::int64_t round, std::int64_t from);

  MpiPort& port_;
  const Watch& watch_;
  std::vector<std::int64_t> ranks_;
  std::int64_t rank_;
  int tag_;
  std::vector<MpiPort::Batch> batches_ = std::vector<MpiPort::Batch>(kDepth);
  std::int64_t combine_chunk_;
  std::vector<Room> rooms_;
  std::vector<const std::byte*> chunks_;
  tensor::Block staging_;
};

}  // namespace boreal::dist
