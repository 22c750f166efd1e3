#include "dist/thread_world.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "dist/launch.h"
#include "dist/meeting.h"
#include "dist/world_state.h"

namespace boreal::dist {

namespace {

// Spinning pays while every rank has a processor.
int spins_for(std::int64_t ranks) {
  return ranks <= static_cast<std::int64_t>(std::thread::hardware_concurrency()) ? 4000 : 100;
}

constexpr auto kPatience = std::chrono::seconds(5);

// What the ranks share.
class Hall {
 public:
  explicit Hall(std::int64_t ranks)
      : memory_(Board::bytes(ranks) / sizeof(std::uint64_t) + 1),
        board_(memory_.data(), ranks),
        spins_(spins_for(ranks)) {}

  const Board& board() const { return board_; }

  Meeting meeting(std::span<const std::int64_t> ranks, std::string_view axis) {
    const std::lock_guard lock(mutex_);
    std::pair key(std::vector<std::int64_t>(ranks.begin(), ranks.end()), std::string(axis));
    std::vector<std::uint64_t>& memory = meetings_[std::move(key)];
    const auto size = static_cast<std::int64_t>(ranks.size());
    memory.resize(Meeting::bytes(size) / sizeof(std::uint64_t));
    return {memory.data(), size, spins_};
  }

  // Every collective that cannot end any more throws, with this reason.
  void fail(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    if (board_.failed()) return;
    reason_ = reason;
    board_.claim_failure();
    changed_.notify_all();
  }
  std::string reason() const {
    const std::lock_guard lock(mutex_);
    return reason_;
  }

  void rank_ended() {
    const std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }
  // A thread cannot be ended from outside: when the world has failed and one does not come to an
  // end, the reason is told before the wait for it.
  void wait_for_all(std::int64_t ranks) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ == ranks || board_.failed(); });
    if (changed_.wait_for(lock, kPatience, [&] { return ended_ == ranks; })) return;
    print_last_line(
        fmt::format("{} (waiting for {} of {} ranks to end)", reason_, ranks - ended_, ranks));
  }

 private:
  std::vector<std::uint64_t> memory_;
  Board board_;
  int spins_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::vector<std::int64_t>, std::string>, std::vector<std::uint64_t>> meetings_;
  std::condition_variable changed_;
  std::int64_t ended_ = 0;
  std::string reason_;
};

std::vector<std::int64_t> one_line_a_rank(std::int64_t ranks) {
  std::vector<std::int64_t> lines(static_cast<std::size_t>(ranks));
  for (std::int64_t r = 0; r < ranks; ++r) lines[static_cast<std::size_t>(r)] = r;
  return lines;
}

// Threads of a living process do not fall silent.
constexpr double kNeverSilent = 1e18;

class ThreadState final : public World::State {
 public:
  ThreadState(Hall& hall, const Seat& seat, const WorldOptions& options)
      : World::State(seat),
        hall_(hall),
        watch_(hall.board(), one_line_a_rank(seat.size), seat.rank, options, kNeverSilent),
        post_(hall.board().line(seat.rank), seat.rank, seat.size),
        lane_(watch_, post_) {
    watch_.reason = [&hall] { return hall.reason(); };
  }
  // Before the transports go that it may be using.
  ~ThreadState() override { lane_.stop(); }

  Lane* lane() override { return seat().size == 1 ? nullptr : &lane_; }
  Post* post() override { return &post_; }
  std::unique_ptr<Transport> connect(std::span<const std::int64_t> ranks,
                                     std::string_view axis) override {
    const std::int64_t own = std::ranges::find(ranks, seat().rank) - ranks.begin();
    return std::make_unique<MeetingTransport>(hall_.meeting(ranks, axis), watch_, ranks, own);
  }

 private:
  Hall& hall_;
  Watch watch_;
  Post post_;
  Lane lane_;
};

// How one rank ended.
struct Ending {
  std::optional<Error> error;
  bool induced = false;   // by another rank's
  bool returned = false;  // by the body, not thrown
  std::exception_ptr exception;
  std::string identity;
};

void run_rank(Hall& hall, const Seat& seat, const WorldOptions& options,
              const std::function<Status(World&)>& body, Ending& ending) {
  auto owned = std::make_unique<ThreadState>(hall, seat, options);
  ThreadState& state = *owned;
  World world(std::move(owned));
  try {
    const Status status = body(world);
    if (!status.ok()) ending.error = status.error();
    if (status.ok() && state.lane() != nullptr) state.lane()->drain();
    ending.returned = !status.ok();
  } catch (const Induced& induced) {
    ending.error = failed("{}", induced.what());
    ending.induced = true;
  } catch (const Failure& failure) {
    ending.error = failed("{}: {}", state.post()->identity(), failure.what());
  } catch (...) {
    ending.error = failed("an exception");
    ending.exception = std::current_exception();
  }
  ending.identity = state.post()->identity();
  if (ending.error.has_value() && !ending.induced)
    hall.fail(fmt::format("{} has ended: {}", ending.identity, ending.error->message));
  state.post()->end();
  hall.rank_ended();
}

Status verdict(std::vector<Ending>& endings) {
  const auto induced = [](const Ending& e) { return e.induced; };
  const bool some_induced = std::ranges::any_of(endings, induced);
  for (Ending& each : endings) {
    if (!each.error.has_value() || each.induced) continue;
    if (each.exception != nullptr) std::rethrow_exception(each.exception);
    // All ranks may return an error that they agreed on; one rank's own is told with its name.
    if (each.returned && some_induced) return std::move(*each.error).within(each.identity);
    return std::move(*each.error);
  }
  for (Ending& each : endings)
    if (each.error.has_value()) return std::move(*each.error);
  return Done{};
}

}  // namespace

Status run_threads(std::int64_t ranks, const WorldOptions& options,
                   const std::function<Status(World&)>& body) {
  Hall hall(ranks);
  std::vector<Ending> endings(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (std::int64_t r = 0; r < ranks; ++r) {
    const Seat seat{r, ranks, r, ranks, "threads"};
    threads.emplace_back([&, seat] {
      run_rank(hall, seat, options, body, endings[static_cast<std::size_t>(seat.rank)]);
    });
  }
  hall.wait_for_all(ranks);
  for (std::thread& thread : threads) thread.join();
  return verdict(endings);
}

}  // namespace boreal::dist
