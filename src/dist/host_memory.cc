#include "dist/host_memory.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/hash.h"

namespace boreal::dist {

namespace {

constexpr std::size_t kEntries = 4096;
constexpr std::uint64_t kNoRoom = 1;

std::size_t rounded(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Enough for a dozen axes over all ranks of the host; untouched pages cost nothing.
std::size_t room_for_meetings(std::int64_t ranks) {
  return (std::size_t{1} << 20) + (static_cast<std::size_t>(ranks) << 16);
}

// A shelf serves from the caches; all of them fit what small containers give (64 MiB).
std::size_t shelf_size(std::int64_t ranks) {
  const std::size_t share = (std::size_t{32} << 20) / static_cast<std::size_t>(ranks);
  return std::clamp(share, std::size_t{256} << 10, std::size_t{4} << 20) / 4096 * 4096;
}

}  // namespace

struct HostMemory::Table {
  std::atomic<std::uint64_t> used;
  std::array<Entry, kEntries> entries;
};

std::size_t HostMemory::bytes(std::int64_t ranks) {
  return rounded(Board::bytes(ranks)) + rounded(sizeof(Table)) + room_for_meetings(ranks) +
         static_cast<std::size_t>(ranks) * shelf_size(ranks);
}

HostMemory::HostMemory(void* memory, std::int64_t ranks)
    : memory_(static_cast<std::byte*>(memory)),
      ranks_(ranks),
      meetings_bytes_(room_for_meetings(ranks)),
      shelf_bytes_(shelf_size(ranks)) {
  std::byte* next = memory_ + rounded(Board::bytes(ranks));
  table_ = static_cast<Table*>(static_cast<void*>(next));
  meetings_ = next + rounded(sizeof(Table));
  shelves_ = meetings_ + meetings_bytes_;
}

Board HostMemory::board() const {
  return {memory_, ranks_};
}

std::span<std::byte> HostMemory::shelf(std::int64_t local_rank) const {
  return {shelves_ + static_cast<std::size_t>(local_rank) * shelf_bytes_, shelf_bytes_};
}

std::optional<Meeting> HostMemory::meeting(std::span<const std::int64_t> ranks,
                                           std::string_view axis) const {
  const std::uint64_t key =
      std::max<std::uint64_t>(1, xxh3_64(std::as_bytes(ranks)) ^ (xxh3_64(axis) * 3));
  const auto size = static_cast<std::int64_t>(ranks.size());
  for (std::size_t i = 0; i < kEntries; ++i) {
    Entry& entry = table_->entries[(key + i) % kEntries];
    std::uint64_t found = 0;
    if (entry.key.compare_exchange_strong(found, key)) {
      const std::uint64_t begin = table_->used.fetch_add(rounded(Meeting::bytes(size)));
      const bool fits = begin + Meeting::bytes(size) <= meetings_bytes_;
      entry.place.store(fits ? begin + 64 : kNoRoom);
    } else if (found != key) {
      continue;
    }
    while (entry.place.load() == 0) sched_yield();
    const std::uint64_t place = entry.place.load();
    if (place == kNoRoom) return std::nullopt;
    const auto processors = static_cast<std::int64_t>(std::thread::hardware_concurrency());
    return Meeting(meetings_ + (place - 64), size, ranks_ <= processors ? 4000 : 100);
  }
  return std::nullopt;
}

}  // namespace boreal::dist
