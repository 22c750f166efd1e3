// Meeting: where the ranks of a group on one host come together, in memory that they share. In each
// round every rank lays down what it has, and nobody looks before all have come, or goes before all
// have looked. Thread rule: each rank calls with its own number, one thread at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dist/transport.h"
#include "dist/watch.h"

namespace boreal::dist {

class Meeting {
 public:
  static std::size_t bytes(std::int64_t size);
  // Over zeroed memory, aligned to 8, that outlives it. spins: looks before a waiting rank sleeps.
  Meeting(void* memory, std::int64_t size, int spins);

  std::int64_t size() const { return static_cast<std::int64_t>(size_); }
  // What rank r laid down for the others, between arrive() and leave().
  const Call& call(std::int64_t rank) const { return slot(rank).call; }
  const Part* parts(std::int64_t rank) const;
  std::int64_t note(std::int64_t rank) const { return slot(rank).note; }

  // False: given up because the watch was late; then nobody can meet here any more, so that no rank
  // ever reads what this one laid down.
  bool arrive(std::int64_t rank, const Call& call, std::span<const Part> parts, std::int64_t note,
              std::uint64_t round, const Watch& watch);
  // Has no time limit: what others are reading must stay.
  void leave(std::uint64_t round);

  // What passes step by step within a round: each rank says how many steps it has written, and how
  // many it has read of all others'. The counts rise for ever. False: given up.
  void wrote(std::int64_t rank, std::uint64_t steps);
  void read(std::int64_t rank, std::uint64_t steps);
  bool has_written(std::int64_t by, std::uint64_t steps) const;
  bool has_read(std::int64_t by, std::uint64_t steps) const;
  bool await_written(std::int64_t by, std::uint64_t steps, const Watch& watch);
  bool await_read(std::int64_t by, std::uint64_t steps, const Watch& watch);

  // Those that have not come to this round.
  std::vector<std::int64_t> missing(std::uint64_t round) const;

 private:
  struct Head {
    // Over all rounds; round r is complete at r times the size.
    std::atomic<std::uint64_t> arrived;
    std::atomic<std::uint64_t> left;
    std::atomic<std::uint32_t> wakes;
    std::atomic<std::uint32_t> sleepers;
  };
  struct Slot {
    std::atomic<std::uint64_t> arrived;  // this rank's last round
    std::atomic<std::uint64_t> written, read;
    std::int64_t note;
    Call call;
  };
  static constexpr std::uint64_t kBroken = std::uint64_t{1} << 63;

  Slot& slot(std::int64_t rank) const;
  void wake();
  void count(std::atomic<std::uint64_t>& counter, std::uint64_t round);
  bool withdraw(std::uint64_t round);
  template <class Ready, class GiveUp>
  void wait(const Ready& ready, const GiveUp& give_up);

  Head* head_;
  std::byte* slots_;
  std::size_t stride_;
  std::uint64_t size_;
  int spins_;
};

// A group's transport over a meeting of threads: each rank reads what it needs out of the others'
// memory, at its own pace.
class MeetingTransport final : public Transport {
 public:
  // ranks: the group's world ranks.
  MeetingTransport(const Meeting& meeting, const Watch& watch, std::span<const std::int64_t> ranks,
                   std::int64_t rank);

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return meeting_.size(); }
  void announce(const Call& call) override { call_ = call; }
  void move(std::span<const Part> to, std::span<const Room> from) override;
  void combine(std::span<const Part> slices, ChunkSink& sink) override;

 private:
  void meet(std::span<const Part> parts);

  Meeting meeting_;
  const Watch& watch_;
  std::vector<std::int64_t> ranks_;
  std::int64_t rank_;
  std::uint64_t round_ = 0;
  Call call_;
  std::vector<Call> calls_;
  std::vector<const std::byte*> chunks_;
};

}  // namespace boreal::dist
