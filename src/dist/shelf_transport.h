// A group's transport between processes of one host: each rank lays what the others need on its
// shelf, memory that all of them map, a chunk at a time, and they take it from there. Two chunks
// are on the shelf at a time, so that laying down and taking overlap. Thread rule: Transport's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dist/meeting.h"

namespace boreal::dist {

class ShelfTransport final : public Transport {
 public:
  // ranks: the group's world ranks; shelves: theirs, equally large.
  ShelfTransport(const Meeting& meeting, const Watch& watch, std::span<const std::int64_t> ranks,
                 std::int64_t rank, std::vector<std::span<std::byte>> shelves);

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return meeting_.size(); }
  void announce(const Call& call) override { call_ = call; }
  void move(std::span<const Part> to, std::span<const Room> from) override;
  void combine(std::span<const Part> slices, ChunkSink& sink) override;

 private:
  // Lays down step 0 and meets. Returns the number of steps.
  std::int64_t begin(std::span<const Part> to);
  void lay_down(std::span<const Part> to, std::int64_t step);
  // Waits for rank r's step; where it lies.
  const std::byte* take(std::int64_t r, std::int64_t step);
  void taken(std::int64_t step);
  // Returns when the others have taken all of this rank's.
  void end(std::int64_t steps);

  std::byte* place(std::int64_t owner, std::int64_t reader, std::int64_t step, bool shared) const;
  [[noreturn]] void give_up(std::vector<std::int64_t> missing) const;

  Meeting meeting_;
  const Watch& watch_;
  std::vector<std::int64_t> ranks_;
  std::int64_t rank_;
  std::vector<std::span<std::byte>> shelves_;
  std::int64_t chunk_;       // bytes of a step for one reader
  bool shared_ = false;      // all readers are given the same
  std::uint64_t steps_ = 0;  // of all rounds before this one
  std::uint64_t round_ = 0;
  Call call_;
  std::vector<Call> calls_;
  std::vector<const std::byte*> chunks_;
};

}  // namespace boreal::dist
