#include "dist/watch.h"

#include <algorithm>

#include "base/clock.h"

namespace boreal::dist {

namespace {

std::vector<std::int64_t> group_of(const Call& call, std::int64_t world) {
  std::vector<std::int64_t> ranks;
  if (call.stride == 0) {
    for (std::int64_t r = 0; r < world; ++r) ranks.push_back(r);
  } else {
    for (std::int64_t i = 0; i < call.count; ++i) ranks.push_back(call.first + i * call.stride);
  }
  return ranks;
}

bool same_group(const Call& a, const Call& b) {
  return a.axis == b.axis && a.first == b.first && a.stride == b.stride && a.count == b.count;
}

std::string seconds(double s) {
  return fmt::format("{:.1f} s", s);
}

std::string list(std::span<const std::int64_t> ranks) {
  std::string out = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ", ", ranks[i]);
  return out;
}

}  // namespace

Watch::Watch(const Board& board, std::vector<std::int64_t> line_of, std::int64_t rank,
             const WorldOptions& options, double silent_after_s)
    : board_(board),
      line_of_(std::move(line_of)),
      rank_(rank),
      options_(options),
      silent_after_s_(silent_after_s) {}

void Watch::start(const Call& call) {
  start_s_ = Clock::real().now_s();
  call_ = call;
}

bool Watch::late() const {
  return board_.failed() || Clock::real().now_s() - start_s_ > options_.time_limit_s;
}

Watch::Blame Watch::blame_of(std::int64_t rank) const {
  const std::int64_t line = line_of_[static_cast<std::size_t>(rank)];
  if (line < 0) return Blame::unknown;
  const double beat_s = board_.line(line).beat_s.load(std::memory_order_acquire);
  if (Clock::real().now_s() - beat_s > silent_after_s_) return Blame::silent;
  const Standing standing = board_.read(line);
  if (standing.place != Place::inside) return Blame::outside;
  const bool same = same_group(standing.call, call_) && standing.call.sequence == call_.sequence;
  return same ? Blame::none : Blame::elsewhere;
}

// Follows who waits for whom, from the ranks that this one waits for, to those that wait for
// nobody.
std::vector<std::int64_t> Watch::culprits(std::span<const std::int64_t> missing) const {
  const auto world = static_cast<std::int64_t>(line_of_.size());
  std::vector<std::int64_t> seen(missing.begin(), missing.end());
  std::vector<std::pair<Blame, std::int64_t>> found;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const std::int64_t rank = seen[i];
    if (rank == rank_) continue;
    const Blame blame = blame_of(rank);
    found.emplace_back(blame, rank);
    if (blame != Blame::none && blame != Blame::elsewhere) continue;
    const Call call = board_.read(line_of_[static_cast<std::size_t>(rank)]).call;
    for (const std::int64_t other : group_of(call, world))
      if (std::ranges::find(seen, other) == seen.end()) seen.push_back(other);
  }
  std::vector<std::int64_t> out;
  for (const Blame blame : {Blame::silent, Blame::outside, Blame::unknown, Blame::elsewhere}) {
    for (const auto& [each, rank] : found)
      if (each == blame) out.push_back(rank);
    if (!out.empty()) break;
  }
  if (out.empty()) out.assign(missing.begin(), missing.end());
  std::ranges::sort(out);
  return out;
}

std::string Watch::name_of_rank(std::int64_t rank) const {
  const std::int64_t line = line_of_[static_cast<std::size_t>(rank)];
  return identity_of(rank, 0, line < 0 ? Standing() : board_.read(line));
}

std::string Watch::describe(std::int64_t rank) const {
  const std::int64_t line = line_of_[static_cast<std::size_t>(rank)];
  if (line < 0) return fmt::format("rank {}, on another host, has not sent its part", rank);
  const Standing standing = board_.read(line);
  const double now_s = Clock::real().now_s();
  const std::string who = identity_of(rank, 0, standing);
  const std::string call = standing.call.text();
  const std::string since = seconds(now_s - standing.since_s);
  if (blame_of(rank) == Blame::silent) {
    const double beat_s = board_.line(line).beat_s.load(std::memory_order_acquire);
    return fmt::format("{}, has shown no sign of life for {}; it was {} {}", who,
                       seconds(now_s - beat_s), standing.place == Place::inside ? "in" : "after",
                       call);
  }
  if (standing.place == Place::inside)
    return fmt::format("{}, is in {}, since {}", who, call, since);
  if (standing.place == Place::ended) return fmt::format("{}, ended {} ago", who, since);
  if (standing.call.kind == Kind::none)
    return fmt::format("{}, has called no collective since it began {} ago", who, since);
  return fmt::format("{}, has not called it; it left {}, {} ago", who, call, since);
}

std::string Watch::waiting(std::span<const std::int64_t> culprits) const {
  std::vector<std::int64_t> others;
  for (const std::int64_t rank : group_of(call_, static_cast<std::int64_t>(line_of_.size()))) {
    const bool known = line_of_[static_cast<std::size_t>(rank)] >= 0;
    const bool waits = rank == rank_ || (known && blame_of(rank) == Blame::none);
    if (waits && std::ranges::find(culprits, rank) == culprits.end()) others.push_back(rank);
  }
  return fmt::format("{} {}", list(others), others.size() == 1 ? "waits" : "wait");
}

void Watch::fail(std::span<const std::int64_t> missing) const {
  if (board_.failed()) throw Induced(reason ? reason() : "another rank failed");
  if (!late()) throw Induced("another rank of the group gave up");
  const std::vector<std::int64_t> blamed = culprits(missing);
  std::string text =
      fmt::format("{} has not ended within {}: ", call_.text(), seconds(options_.time_limit_s));
  for (const std::int64_t rank : blamed) text += describe(rank) + "; ";
  throw Failure(text + waiting(blamed));
}

void check_fit(std::span<const Call> calls, bool compare_sites,
               const std::function<std::string(std::int64_t)>& who) {
  const auto fits = [&](std::size_t a, std::size_t b) {
    return calls[a].fits(calls[b], compare_sites);
  };
  bool all = true;
  for (std::size_t r = 1; r < calls.size(); ++r) all = all && fits(0, r);
  if (all) return;
  // Ranks that call the same are named together.
  std::string text =
      fmt::format("the ranks of {} call collectives that do not fit: ", calls[0].axis.data());
  std::vector<bool> told(calls.size(), false);
  for (std::size_t r = 0; r < calls.size(); ++r) {
    if (told[r]) continue;
    std::string names = who(static_cast<std::int64_t>(r));
    for (std::size_t s = r + 1; s < calls.size(); ++s) {
      if (calls[r].kind != calls[s].kind || !fits(r, s)) continue;
      told[s] = true;
      names += " and " + who(static_cast<std::int64_t>(s));
    }
    text += fmt::format("{}{}: {}, number {} of the group", r == 0 ? "" : "; ", names,
                        calls[r].text(), calls[r].sequence);
  }
  throw Failure(text);
}

}  // namespace boreal::dist
