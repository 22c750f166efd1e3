// Meeting: where the ranks of a group that share memory come together. In each round every rank
// lays down what it has, and nobody looks before all have come, or goes before all have looked.
// Thread rule: each rank calls with its own number, one thread at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "dist/transport.h"
#include "dist/watch.h"

namespace boreal::dist {

class Meeting {
 public:
  struct Slot {
    Call call;
    std::span<const Part> parts;
  };

  // spins: looks before a waiting rank goes to sleep.
  Meeting(std::int64_t size, int spins)
      : slots_(static_cast<std::size_t>(size)),
        size_(static_cast<std::uint64_t>(size)),
        spins_(spins) {}

  std::int64_t size() const { return static_cast<std::int64_t>(size_); }
  const Slot& slot(std::int64_t rank) const { return slots_[static_cast<std::size_t>(rank)]; }

  // False: given up because the watch was late; then nobody can meet here any more, so that no rank
  // ever reads what this one laid down.
  bool arrive(std::int64_t rank, const Slot& slot, std::uint64_t round, const Watch& watch);
  // Has no time limit: the others only read.
  void leave(std::uint64_t round);

  // Those that have not come to this round.
  std::vector<std::int64_t> missing(std::uint64_t round) const;

 private:
  static constexpr std::uint64_t kBroken = std::uint64_t{1} << 63;

  void count(std::atomic<std::uint64_t>& counter, std::uint64_t round);
  bool withdraw(std::uint64_t round);

  std::vector<Slot> slots_;
  std::vector<std::atomic<std::uint64_t>> rounds_ =
      std::vector<std::atomic<std::uint64_t>>(slots_.size());  // each rank's last, for missing()
  std::uint64_t size_;
  int spins_;
  // Over all rounds; the round r is complete at r times the size.
  std::atomic<std::uint64_t> arrived_{0};
  std::atomic<std::uint64_t> left_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// A group's transport over a meeting: peers' memory is read in place.
class MeetingTransport final : public Transport {
 public:
  // ranks: the group's world ranks.
  MeetingTransport(std::shared_ptr<Meeting> meeting, const Watch& watch,
                   std::span<const std::int64_t> ranks, std::int64_t rank);

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return meeting_->size(); }
  void announce(const Call& call) override { call_ = call; }
  void move(std::span<const Part> to, std::span<const Room> from) override;
  void combine(std::span<const Part> slices, ChunkSink& sink) override;

 private:
  void meet(std::span<const Part> parts);

  std::shared_ptr<Meeting> meeting_;
  const Watch& watch_;
  std::vector<std::int64_t> ranks_;
  std::int64_t rank_;
  std::uint64_t round_ = 0;
  Call call_;
  std::vector<Call> calls_;
  std::vector<const std::byte*> chunks_;
};

}  // namespace boreal::dist
