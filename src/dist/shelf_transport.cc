#include "dist/shelf_transport.h"

#include <algorithm>
#include <cstring>

namespace boreal::dist {

namespace {

// What is laid down is still in the second cache when the other rank comes for it.
constexpr std::int64_t kChunkMax = 256 << 10;
// Chunks on a shelf at a time.
constexpr std::int64_t kDepth = 4;

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

std::uint64_t count(std::int64_t steps) {
  return static_cast<std::uint64_t>(steps);
}

}  // namespace

std::int64_t ShelfTransport::chunk_bytes(std::int64_t ranks, std::size_t shelf_bytes) {
  const auto room = static_cast<std::int64_t>(shelf_bytes);
  return std::min(kChunkMax, room / (kDepth * (ranks - 1)) / 64 * 64);
}

ShelfTransport::ShelfTransport(const Meeting& meeting, const Watch& watch,
                               std::span<const std::int64_t> ranks, std::int64_t rank,
                               std::vector<std::span<std::byte>> shelves)
    : meeting_(meeting),
      watch_(watch),
      ranks_(ranks.begin(), ranks.end()),
      rank_(rank),
      shelves_(std::move(shelves)),
      chunk_(chunk_bytes(meeting.size(), shelves_[0].size())),
      calls_(ranks.size()),
      chunks_(ranks.size()) {}

void ShelfTransport::give_up(std::vector<std::int64_t> missing) const {
  for (std::int64_t& rank : missing) rank = ranks_[at(rank)];
  watch_.fail(missing);
}

std::byte* ShelfTransport::place(std::int64_t owner, std::int64_t reader, std::int64_t step,
                                 bool shared) const {
  const auto place = static_cast<std::int64_t>((steps_ + count(step)) % kDepth);
  const std::int64_t board = shared ? 0 : (reader < owner ? reader : reader - 1);
  return shelves_[at(owner)].data() + (place * (size() - 1) + board) * chunk_;
}

bool ShelfTransport::all_have_read(std::uint64_t steps) const {
  for (std::int64_t r = 0; r < size(); ++r)
    if (r != rank_ && !meeting_.has_read(r, steps)) return false;
  return true;
}

void ShelfTransport::keep_ahead(std::span<const Part> to, std::int64_t step, std::int64_t steps) {
  if (laid_ <= step) lay_down(to, laid_++);
  const auto ready = [&] {
    for (std::int64_t r = 0; r < size(); ++r)
      if (r != rank_ && !meeting_.has_written(r, steps_ + count(step) + 1)) return false;
    return true;
  };
  while (laid_ < std::min(steps, step + kDepth) && !ready() &&
         (laid_ < kDepth || all_have_read(steps_ + count(laid_ - kDepth) + 1)))
    lay_down(to, laid_++);
}

void ShelfTransport::lay_down(std::span<const Part> to, std::int64_t step) {
  // Its place was used kDepth steps ago.
  for (std::int64_t r = 0; r < size() && step >= kDepth; ++r)
    if (r != rank_ && !meeting_.await_read(r, steps_ + count(step - kDepth) + 1, watch_))
      give_up({r});
  for (std::int64_t i = 1; i < size(); ++i) {
    const std::int64_t r = (rank_ + i) % size();
    const Part& part = to[at(r)];
    const std::int64_t begin = step * chunk_;
    const std::int64_t bytes = std::min(chunk_, part.bytes - begin);
    if (bytes <= 0) continue;
    std::memcpy(place(rank_, r, step, shared_), part.data + begin, at(bytes));
    if (shared_) break;
  }
  meeting_.wrote(rank_, steps_ + count(step) + 1);
}

std::int64_t ShelfTransport::begin(std::span<const Part> to) {
  const Part& first = to[at((rank_ + 1) % size())];
  shared_ = true;
  std::int64_t longest = 0;
  for (std::int64_t r = 0; r < size(); ++r) {
    if (r == rank_) continue;
    longest = std::max(longest, to[at(r)].bytes);
    shared_ = shared_ && to[at(r)].data == first.data && to[at(r)].bytes == first.bytes;
  }
  laid_ = 1;
  lay_down(to, 0);
  ++round_;
  if (!meeting_.arrive(rank_, call_, to, 2 * longest + (shared_ ? 1 : 0), round_, watch_))
    give_up(meeting_.missing(round_));
  for (std::int64_t r = 0; r < size(); ++r) {
    calls_[at(r)] = meeting_.call(r);
    longest = std::max(longest, meeting_.note(r) / 2);
  }
  check_fit(calls_, watch_.options().debug,
            [&](std::int64_t r) { return watch_.name_of_rank(ranks_[at(r)]); });
  return std::max<std::int64_t>(1, (longest + chunk_ - 1) / chunk_);
}

const std::byte* ShelfTransport::take(std::int64_t r, std::int64_t step) {
  if (!meeting_.await_written(r, steps_ + count(step) + 1, watch_)) give_up({r});
  return place(r, rank_, step, meeting_.note(r) % 2 == 1);
}

void ShelfTransport::taken(std::int64_t step) {
  meeting_.read(rank_, steps_ + count(step) + 1);
}

void ShelfTransport::end(std::int64_t steps) {
  for (std::int64_t r = 0; r < size(); ++r)
    if (r != rank_ && !meeting_.await_read(r, steps_ + count(steps), watch_)) give_up({r});
  steps_ += count(steps);
}

void ShelfTransport::move(std::span<const Part> to, std::span<const Room> from) {
  const std::int64_t steps = begin(to);
  for (std::int64_t step = 0; step < steps; ++step) {
    keep_ahead(to, step, steps);
    for (std::int64_t i = 1; i < size(); ++i) {
      const std::int64_t r = (rank_ + i) % size();
      const Room& room = from[at(r)];
      if (step == 0) CHECK_EQ(meeting_.parts(r)[at(rank_)].bytes, room.bytes);
      const std::int64_t begin = step * chunk_;
      const std::int64_t bytes = std::min(chunk_, room.bytes - begin);
      if (bytes > 0) std::memcpy(room.data + begin, take(r, step), at(bytes));
    }
    taken(step);
  }
  end(steps);
}

void ShelfTransport::combine(std::span<const Part> slices, ChunkSink& sink) {
  const std::int64_t steps = begin(slices);
  const Part& own = slices[at(rank_)];
  for (std::int64_t step = 0; step < steps; ++step) {
    keep_ahead(slices, step, steps);
    const std::int64_t begin = step * chunk_;
    const std::int64_t bytes = std::min(chunk_, own.bytes - begin);
    if (bytes > 0) {
      for (std::int64_t r = 0; r < size(); ++r)
        chunks_[at(r)] = r == rank_ ? own.data + begin : take(r, step);
      sink.take(chunks_, begin, bytes);
    }
    taken(step);
  }
  end(steps);
}

}  // namespace boreal::dist
