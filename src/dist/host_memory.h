// HostMemory: the piece of memory that the processes of one host share: the board, a meeting for
// each group, found by its name without a word between the processes, and a shelf for each rank.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dist/board.h"
#include "dist/meeting.h"

namespace boreal::dist {

class HostMemory {
 public:
  static std::size_t bytes(std::int64_t ranks);
  // Over zeroed memory of bytes(ranks) that all processes map.
  HostMemory(void* memory, std::int64_t ranks);

  Board board() const;
  // Where a rank lays down what others of the host take.
  std::span<std::byte> shelf(std::int64_t local_rank) const;

  // The meeting of the group, the same memory for all that ask with the same words; none when there
  // is no room.
  std::optional<Meeting> meeting(std::span<const std::int64_t> ranks, std::string_view axis) const;

 private:
  struct Entry {
    std::atomic<std::uint64_t> key;
    std::atomic<std::uint64_t> place;  // 0: not yet
  };
  struct Table;

  std::byte* memory_;
  std::int64_t ranks_;
  Table* table_;
  std::byte* meetings_;
  std::size_t meetings_bytes_;
  std::byte* shelves_;
  std::size_t shelf_bytes_;
};

}  // namespace boreal::dist
