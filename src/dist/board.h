// Board: what each rank of this host says of itself, where the others can read it without its help:
// that is how a missing rank is named. Lies in plain memory (threads) or in memory that processes
// share. Thread rule: each line is written by its rank alone (Post, any of its threads) and read by
// all.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "dist/operation.h"

namespace boreal::dist {

enum class Place : std::uint8_t { outside, inside, ended };  // of a collective

struct Standing {
  Place place = Place::outside;
  std::int64_t step = -1;
  double since_s = 0;  // of `place`, on the monotonic clock that all processes of a host share
  Call call;           // the collective it is in, or was in last
  std::array<char, 96> coordinate{};
};

class Board {
 public:
  static constexpr std::size_t kWords = (sizeof(Standing) + 7) / 8;
  // All zero is a valid line: nothing said yet.
  struct Line {
    std::atomic<std::uint64_t> version;  // odd while it is written
    std::array<std::atomic<std::uint64_t>, kWords> words;
    std::atomic<double> beat_s;  // last sign of life; 0: none yet
  };
  struct Head {
    std::atomic<std::int64_t> failed;  // of one rank: it alone tells
  };

  // Bytes of a board of so many lines.
  static std::size_t bytes(std::int64_t lines) {
    return sizeof(Head) + static_cast<std::size_t>(lines) * sizeof(Line) + alignof(Line);
  }
  Board() = default;
  // Over zeroed memory that outlives it. first_rank: lines are of the world ranks in `ranks`.
  Board(void* memory, std::int64_t lines);

  std::int64_t lines() const { return lines_; }
  Line& line(std::int64_t index) const { return line_[index]; }
  Head& head() const { return *head_; }
  // Copy of a line; of a rank that stopped in the middle of a write as well as it can be read.
  Standing read(std::int64_t index) const;
  // True for the first that asks: the one whose message counts.
  bool claim_failure() const;
  bool failed() const { return head_->failed.load(std::memory_order_acquire) != 0; }

 private:
  Head* head_ = nullptr;
  Line* line_ = nullptr;
  std::int64_t lines_ = 0;
};

// The pen of one rank. Thread rule: any thread of the rank.
class Post {
 public:
  Post(Board::Line& line, std::int64_t rank, std::int64_t size);

  void enter(const Call& call);
  void leave();
  void end();
  void describe(std::string_view coordinate);
  void at_step(std::int64_t step);
  void beat();

  // "rank 2 of 4 (tp 0, dp_shard 1), step 17"
  std::string identity() const;

 private:
  void publish();

  Board::Line& line_;
  std::int64_t rank_, size_;
  mutable std::mutex mutex_;
  Standing standing_;
};

// "rank 2 (tp 0, dp_shard 1), step 17"; size 0: without "of".
std::string identity_of(std::int64_t rank, std::int64_t size, const Standing& standing);

}  // namespace boreal::dist
