#include "dist/meeting.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace boreal::dist {

namespace {

// Of each rank's slice at a time: a few of them fit the second cache.
constexpr std::int64_t kChunkBytes = 64 << 10;
// A sleeper looks at the clock and at the other groups' failures so often.
constexpr auto kNap = std::chrono::milliseconds(20);

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

}  // namespace

void Meeting::count(std::atomic<std::uint64_t>& counter, std::uint64_t round) {
  if (counter.fetch_add(1, std::memory_order_acq_rel) + 1 != round * size_) return;
  // The lock orders this wake-up after the look of a rank that is about to sleep.
  { const std::lock_guard lock(mutex_); }
  changed_.notify_all();
}

bool Meeting::withdraw(std::uint64_t round) {
  std::uint64_t seen = arrived_.load(std::memory_order_acquire);
  while (seen < round * size_)
    if (arrived_.compare_exchange_weak(seen, seen | kBroken, std::memory_order_acq_rel))
      return true;
  return (seen & kBroken) != 0;
}

bool Meeting::arrive(std::int64_t rank, const Slot& slot, std::uint64_t round, const Watch& watch) {
  slots_[at(rank)] = slot;
  rounds_[at(rank)].store(round, std::memory_order_release);
  count(arrived_, round);
  const auto complete = [&] { return arrived_.load(std::memory_order_acquire) >= round * size_; };
  const auto broken = [&] { return (arrived_.load(std::memory_order_acquire) & kBroken) != 0; };
  for (int i = 0; i < spins_ && !complete(); ++i) __builtin_ia32_pause();
  if (!complete()) {
    std::unique_lock lock(mutex_);
    while (!complete() && !(watch.late() && withdraw(round))) changed_.wait_for(lock, kNap);
  }
  return !broken();
}

void Meeting::leave(std::uint64_t round) {
  count(left_, round);
  const auto complete = [&] { return left_.load(std::memory_order_acquire) >= round * size_; };
  for (int i = 0; i < spins_ && !complete(); ++i) __builtin_ia32_pause();
  if (complete()) return;
  std::unique_lock lock(mutex_);
  while (!complete()) changed_.wait_for(lock, kNap);
}

std::vector<std::int64_t> Meeting::missing(std::uint64_t round) const {
  std::vector<std::int64_t> out;
  for (std::int64_t r = 0; r < size(); ++r)
    if (rounds_[at(r)].load(std::memory_order_acquire) < round) out.push_back(r);
  return out;
}

MeetingTransport::MeetingTransport(std::shared_ptr<Meeting> meeting, const Watch& watch,
                                   std::span<const std::int64_t> ranks, std::int64_t rank)
    : meeting_(std::move(meeting)),
      watch_(watch),
      ranks_(ranks.begin(), ranks.end()),
      rank_(rank),
      calls_(ranks.size()),
      chunks_(ranks.size()) {}

void MeetingTransport::meet(std::span<const Part> parts) {
  ++round_;
  if (!meeting_->arrive(rank_, {call_, parts}, round_, watch_)) {
    std::vector<std::int64_t> missing = meeting_->missing(round_);
    for (std::int64_t& rank : missing) rank = ranks_[at(rank)];
    watch_.fail(missing);
  }
  for (std::int64_t r = 0; r < size(); ++r) calls_[at(r)] = meeting_->slot(r).call;
  check_fit(calls_, watch_.options().debug,
            [&](std::int64_t r) { return watch_.name_of_rank(ranks_[at(r)]); });
}

void MeetingTransport::move(std::span<const Part> to, std::span<const Room> from) {
  meet(to);
  for (std::int64_t r = 0; r < size(); ++r) {
    if (r == rank_) continue;
    const Part part = meeting_->slot(r).parts[at(rank_)];
    CHECK_EQ(part.bytes, from[at(r)].bytes);
    if (part.bytes > 0) std::memcpy(from[at(r)].data, part.data, at(part.bytes));
  }
  meeting_->leave(round_);
}

void MeetingTransport::combine(std::span<const Part> slices, ChunkSink& sink) {
  meet(slices);
  const std::int64_t bytes = slices[at(rank_)].bytes;
  for (std::int64_t offset = 0; offset < bytes; offset += kChunkBytes) {
    for (std::int64_t r = 0; r < size(); ++r)
      chunks_[at(r)] = meeting_->slot(r).parts[at(rank_)].data + offset;
    sink.take(chunks_, offset, std::min(kChunkBytes, bytes - offset));
  }
  meeting_->leave(round_);
}

}  // namespace boreal::dist
