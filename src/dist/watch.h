// Watch: the time limit of the collective that a rank is in, and the words for who is missing.
// Mismatch: the words for ranks that call collectives that do not fit. Thread rule: one thread at a
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dist/board.h"
#include "dist/failure.h"
#include "dist/world.h"

namespace boreal::dist {

// A failure that follows from another rank's: not the one to report.
class Induced : public Failure {
 public:
  using Failure::Failure;
};

class Watch {
 public:
  // line_of[r]: the board's line of world rank r, -1 on another host. silent_after_s: a rank whose
  // heart has not beaten for so long has stopped.
  Watch(const Board& board, std::vector<std::int64_t> line_of, std::int64_t rank,
        const WorldOptions& options, double silent_after_s);

  const WorldOptions& options() const { return options_; }
  // A collective begins.
  void start(const Call& call);
  // Its time is over, or the world has failed: leave, then call fail().
  bool late() const;
  // Throws. `missing`: world ranks whose part has not come.
  [[noreturn]] void fail(std::span<const std::int64_t> missing) const;
  // "rank 2 (tp 0), step 17"
  std::string name_of_rank(std::int64_t rank) const;
  // Why the world failed; set by the world before its board says that it has.
  std::function<std::string()> reason;

 private:
  enum class Blame : std::uint8_t { none, silent, outside, elsewhere, unknown };
  Blame blame_of(std::int64_t rank) const;
  std::vector<std::int64_t> culprits(std::span<const std::int64_t> missing) const;
  std::string describe(std::int64_t rank) const;
  std::string waiting(std::span<const std::int64_t> culprits) const;

  const Board& board_;
  std::vector<std::int64_t> line_of_;
  std::int64_t rank_;
  WorldOptions options_;
  double silent_after_s_;
  double start_s_ = 0;
  Call call_;
};

// Throws Failure unless the calls of all ranks of a group fit. who[r] names rank r.
void check_fit(std::span<const Call> calls, bool compare_sites,
               const std::function<std::string(std::int64_t)>& who);

}  // namespace boreal::dist
