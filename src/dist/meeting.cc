#include "dist/meeting.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <ctime>

namespace boreal::dist {

namespace {

// Of each rank's slice at a time: a few of them fit the second cache.
constexpr std::int64_t kChunkBytes = 64 << 10;
// A sleeper looks at the clock and at the other groups' failures so often.
constexpr long kNapNs = 20'000'000;

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

// Not the standard's wait(): that has no time limit and does not reach another process.
void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  const timespec nap = {0, kNapNs};
  syscall(SYS_futex, &word, FUTEX_WAIT, seen, &nap, nullptr, 0);
}
void wake_all(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

std::size_t Meeting::bytes(std::int64_t size) {
  return sizeof(Head) + at(size) * (sizeof(Slot) + at(size) * sizeof(Part));
}

Meeting::Meeting(void* memory, std::int64_t size, int spins)
    : head_(static_cast<Head*>(memory)),
      slots_(static_cast<std::byte*>(memory) + sizeof(Head)),
      stride_(sizeof(Slot) + at(size) * sizeof(Part)),
      size_(static_cast<std::uint64_t>(size)),
      spins_(spins) {}

Meeting::Slot& Meeting::slot(std::int64_t rank) const {
  return *static_cast<Slot*>(static_cast<void*>(slots_ + at(rank) * stride_));
}

const Part* Meeting::parts(std::int64_t rank) const {
  return static_cast<const Part*>(
      static_cast<const void*>(slots_ + at(rank) * stride_ + sizeof(Slot)));
}

void Meeting::wake() {
  head_->wakes.fetch_add(1);
  if (head_->sleepers.load() > 0) wake_all(head_->wakes);
}

void Meeting::count(std::atomic<std::uint64_t>& counter, std::uint64_t round) {
  if (counter.fetch_add(1) + 1 == round * size_) wake();
}

bool Meeting::withdraw(std::uint64_t round) {
  std::uint64_t seen = head_->arrived.load();
  while (seen < round * size_)
    if (head_->arrived.compare_exchange_weak(seen, seen | kBroken)) return true;
  return (seen & kBroken) != 0;
}

template <class Ready, class GiveUp>
void Meeting::wait(const Ready& ready, const GiveUp& give_up) {
  for (int i = 0; i < spins_; ++i) {
    if (ready()) return;
    __builtin_ia32_pause();
  }
  head_->sleepers.fetch_add(1);
  while (true) {
    const std::uint32_t seen = head_->wakes.load();
    if (ready() || give_up()) break;
    sleep_on(head_->wakes, seen);
  }
  head_->sleepers.fetch_sub(1);
}

bool Meeting::arrive(std::int64_t rank, const Call& call, std::span<const Part> parts,
                     std::int64_t note, std::uint64_t round, const Watch& watch) {
  Slot& own = slot(rank);
  own.call = call;
  own.note = note;
  std::memcpy(slots_ + at(rank) * stride_ + sizeof(Slot), parts.data(), parts.size_bytes());
  own.arrived.store(round);
  count(head_->arrived, round);
  wait([&] { return head_->arrived.load() >= round * size_; },
       [&] { return watch.late() && withdraw(round); });
  return (head_->arrived.load() & kBroken) == 0;
}

void Meeting::leave(std::uint64_t round) {
  count(head_->left, round);
  wait([&] { return head_->left.load() >= round * size_; }, [] { return false; });
}

void Meeting::wrote(std::int64_t rank, std::uint64_t steps) {
  slot(rank).written.store(steps);
  wake();
}

void Meeting::read(std::int64_t rank, std::uint64_t steps) {
  slot(rank).read.store(steps);
  wake();
}

bool Meeting::has_written(std::int64_t by, std::uint64_t steps) const {
  return slot(by).written.load() >= steps;
}

bool Meeting::has_read(std::int64_t by, std::uint64_t steps) const {
  return slot(by).read.load() >= steps;
}

bool Meeting::await_written(std::int64_t by, std::uint64_t steps, const Watch& watch) {
  wait([&] { return has_written(by, steps); }, [&] { return watch.late(); });
  return has_written(by, steps);
}

bool Meeting::await_read(std::int64_t by, std::uint64_t steps, const Watch& watch) {
  wait([&] { return has_read(by, steps); }, [&] { return watch.late(); });
  return has_read(by, steps);
}

std::vector<std::int64_t> Meeting::missing(std::uint64_t round) const {
  std::vector<std::int64_t> out;
  for (std::int64_t r = 0; r < size(); ++r)
    if (slot(r).arrived.load() < round) out.push_back(r);
  return out;
}

MeetingTransport::MeetingTransport(const Meeting& meeting, const Watch& watch,
                                   std::span<const std::int64_t> ranks, std::int64_t rank)
    : meeting_(meeting),
      watch_(watch),
      ranks_(ranks.begin(), ranks.end()),
      rank_(rank),
      calls_(ranks.size()),
      chunks_(ranks.size()) {}

void MeetingTransport::meet(std::span<const Part> parts) {
  ++round_;
  if (!meeting_.arrive(rank_, call_, parts, 0, round_, watch_)) {
    std::vector<std::int64_t> missing = meeting_.missing(round_);
    for (std::int64_t& rank : missing) rank = ranks_[at(rank)];
    watch_.fail(missing);
  }
  for (std::int64_t r = 0; r < size(); ++r) calls_[at(r)] = meeting_.call(r);
  check_fit(calls_, watch_.options().debug,
            [&](std::int64_t r) { return watch_.name_of_rank(ranks_[at(r)]); });
}

void MeetingTransport::move(std::span<const Part> to, std::span<const Room> from) {
  meet(to);
  // Each begins with its neighbour, so that not all read from one.
  for (std::int64_t i = 1; i < size(); ++i) {
    const std::int64_t r = (rank_ + i) % size();
    const Part theirs = meeting_.parts(r)[at(rank_)];
    CHECK_EQ(theirs.bytes, from[at(r)].bytes);
    if (theirs.bytes > 0) std::memcpy(from[at(r)].data, theirs.data, at(theirs.bytes));
  }
  meeting_.leave(round_);
}

void MeetingTransport::combine(std::span<const Part> slices, ChunkSink& sink) {
  meet(slices);
  const std::int64_t total = slices[at(rank_)].bytes;
  for (std::int64_t offset = 0; offset < total; offset += kChunkBytes) {
    for (std::int64_t r = 0; r < size(); ++r)
      chunks_[at(r)] = meeting_.parts(r)[at(rank_)].data + offset;
    sink.take(chunks_, offset, std::min(kChunkBytes, total - offset));
  }
  meeting_.leave(round_);
}

}  // namespace boreal::dist
