// A group's transport between processes of one host: each rank lays what the others need on its
// shelf, memory that all of them map, a chunk at a time, and they take it from there. A few chunks
// fit: who would have to wait lays down the next ones instead. Thread rule: Transport's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dist/meeting.h"

namespace boreal::dist {

class ShelfTransport final : public Transport {
 public:
  // Of a group of so many ranks; less than kChunkMin is too little to be worth it.
  static std::int64_t chunk_bytes(std::int64_t ranks, std::size_t shelf_bytes);
  static constexpr std::int64_t kChunkMin = 16 << 10;

  // ranks: the group's world ranks; shelves: theirs, equally large.
  ShelfTransport(const Meeting& meeting, const Watch& watch, std::span<const std::int64_t> ranks,
                 std::int64_t rank, std::vector<std::span<std::byte>> shelves);

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return meeting_.size(); }
  void announce(const Call& call) override { call_ = call; }
  void move(std::span<const Part> to, std::span<const Room> from) override;
  void combine(std::span<const Part> slices, ChunkSink& sink) override;

 private:
  bool all_have_read(std::uint64_t steps) const;
  // Lays down this step at the latest, and more while others are not ready for it.
  void keep_ahead(std::span<const Part> to, std::int64_t step, std::int64_t steps);
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
  std::int64_t laid_ = 0;    // steps of this round that lie or lay on the shelf
  bool shared_ = false;      // all readers are given the same
  std::uint64_t steps_ = 0;  // of all rounds before this one
  std::uint64_t round_ = 0;
  Call call_;
  std::vector<Call> calls_;
  std::vector<const std::byte*> chunks_;
};

}  // namespace boreal::dist
