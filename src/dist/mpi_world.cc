#include "dist/mpi_world.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

#include "dist/host_memory.h"
#include "dist/launch.h"
#include "dist/mpi_port.h"
#include "dist/mpi_transport.h"
#include "dist/shelf_transport.h"
#include "dist/world_state.h"

namespace boreal::dist {

namespace {

constexpr auto kBeat = std::chrono::milliseconds(100);
// A process that has missed ten beats is stopped, or its machine is.
constexpr double kSilentAfterS = 1.0;
// A rank that ended with an error waits so long for the others to end with it.
constexpr double kGraceS = 3.0;
// What another rank of the host has begun to end ends within this, or is ended.
constexpr auto kDyingWord = std::chrono::seconds(5);

Seat seat_of(const MpiPort& port) {
  const auto own = std::ranges::find(port.local(), port.rank()) - port.local().begin();
  return {port.rank(), port.size(), own, static_cast<std::int64_t>(port.local().size()), "mpi"};
}

std::vector<std::int64_t> lines_of(const MpiPort& port) {
  std::vector<std::int64_t> lines(static_cast<std::size_t>(port.size()), -1);
  for (std::size_t i = 0; i < port.local().size(); ++i)
    lines[static_cast<std::size_t>(port.local()[i])] = static_cast<std::int64_t>(i);
  return lines;
}

class MpiState final : public World::State {
 public:
  MpiState(MpiPort& port, const WorldOptions& options)
      : World::State(seat_of(port)),
        port_(port),
        memory_(port.share(HostMemory::bytes(seat().local_size)), seat().local_size),
        board_(memory_.board()),
        watch_(board_, lines_of(port), seat().rank, options, kSilentAfterS),
        post_(board_.line(seat().local_rank), seat().rank, seat().size),
        lane_(watch_, post_),
        heart_([this] { beat(); }) {}
  ~MpiState() override {
    lane_.stop();
    dead_ = true;
    heart_.join();
  }

  Lane* lane() override { return &lane_; }
  Post* post() override { return &post_; }
  const Board& board() const { return board_; }
  std::unique_ptr<Transport> connect(std::span<const std::int64_t> ranks,
                                     std::string_view axis) override {
    if (std::unique_ptr<Transport> within = within_host(ranks, axis); within != nullptr)
      return within;
    return std::make_unique<MpiTransport>(port_, watch_, ranks, axis);
  }

  // How all ranks ended. Beside the lane, which may be stuck, and beside all groups, which others
  // may still be using. Throws Failure.
  std::vector<std::string> endings(const std::string& own, double limit_s);
  // One line a host, then the end of the job.
  [[noreturn]] void die(const std::string& line, int code);

 private:
  // Null for a group that reaches other hosts, or is so large that little is left for each on the
  // shelves.
  std::unique_ptr<Transport> within_host(std::span<const std::int64_t> ranks,
                                         std::string_view axis) {
    if (!watch_.options().share_memory) return nullptr;
    const std::vector<std::int64_t> lines = lines_of(port_);
    std::vector<std::span<std::byte>> shelves;
    for (const std::int64_t rank : ranks) {
      const std::int64_t line = lines[static_cast<std::size_t>(rank)];
      if (line < 0) return nullptr;
      shelves.push_back(memory_.shelf(line));
    }
    const auto size = static_cast<std::int64_t>(ranks.size());
    if (ShelfTransport::chunk_bytes(size, shelves[0].size()) < ShelfTransport::kChunkMin)
      return nullptr;
    const std::optional<Meeting> meeting = memory_.meeting(ranks, axis);
    if (!meeting.has_value()) return nullptr;
    const std::int64_t own = std::ranges::find(ranks, seat().rank) - ranks.begin();
    return std::make_unique<ShelfTransport>(*meeting, watch_, ranks, own, std::move(shelves));
  }
  void beat() {
    while (!dead_) {
      post_.beat();
      std::this_thread::sleep_for(kBeat);
    }
  }

  MpiPort& port_;
  HostMemory memory_;
  Board board_;
  Watch watch_;
  Post post_;
  Lane lane_;
  std::atomic<bool> dead_{false};
  std::thread heart_;
};

std::vector<std::string> MpiState::endings(const std::string& own, double limit_s) {
  WorldOptions options = watch_.options();
  options.time_limit_s = std::min(options.time_limit_s, limit_s);
  options.debug = false;
  Watch watch(board_, lines_of(port_), seat().rank, options, kSilentAfterS);
  std::vector<std::int64_t> ranks(static_cast<std::size_t>(seat().size));
  std::iota(ranks.begin(), ranks.end(), 0);
  MpiTransport transport(port_, watch, ranks, "end of the world");
  Operation op;
  op.transport = &transport;
  op.call.kind = Kind::agree;
  put_text("end of the world", op.call.axis);
  op.call.first = 0;
  op.call.stride = 1;
  op.call.count = seat().size;
  std::vector<std::string> texts;
  op.text = &own;
  op.texts = &texts;
  watch.start(op.call);
  Collectives().run(op);
  return texts;
}

void MpiState::die(const std::string& line, int code) {
  if (board_.claim_failure())
    print_last_line(line);
  else
    std::this_thread::sleep_for(kDyingWord);  // the one that told ends this process too
  port_.abort(code);
}

std::string text_of(const Status& status) {
  if (status.ok()) return "";
  return static_cast<char>('0' + static_cast<int>(status.error().kind)) + status.error().message;
}

Status status_of(const std::string& text) {
  if (text.empty()) return Done{};
  return Error{text.substr(1), static_cast<ErrorKind>(text[0] - '0')};
}

// Ends the job where the ranks do not end together.
Status end_together(MpiState& state, Status status, const WorldOptions& options) {
  const std::string identity = state.post()->identity();
  std::vector<std::string> texts;
  try {
    state.post()->end();
    texts = state.endings(text_of(status), status.ok() ? options.time_limit_s : kGraceS);
  } catch (const Failure& failure) {
    if (status.ok()) state.die(fmt::format("{}: {}", identity, failure.what()), 1);
    state.die(fmt::format("{}: {}", identity, status.error().message),
              exit_code(status.error().kind));
  }
  for (const std::string& text : texts)
    if (!text.empty()) {
      status = status_of(text);
      break;
    }
  // Messages that nobody will answer keep MPI from ending in order.
  if (!status.ok() && !state.lane()->idle())
    state.die(fmt::format("{}: {}", identity, status.error().message),
              exit_code(status.error().kind));
  return status;
}

}  // namespace

Status run_mpi(const WorldOptions& options, const std::function<Status(World&)>& body) {
  const Launch launch = read_launch();
  ASSIGN_OR_RETURN(const std::unique_ptr<MpiPort> port, MpiPort::open());
  if (Status fits = check_size(port->size(), launch); !fits.ok()) {
    port->close();
    return fits;
  }
  Status status = Done{};
  {
    auto owned = std::make_unique<MpiState>(*port, options);
    MpiState& state = *owned;
    World world(std::move(owned));
    try {
      status = body(world);
      if (status.ok()) state.lane()->drain();
    } catch (const Induced& trouble) {
      // The rank that knows why has yet to say so: it may have more to unwind.
      std::this_thread::sleep_for(kDyingWord);
      state.die(fmt::format("{}: {}", state.post()->identity(), trouble.what()), 1);
    } catch (const std::exception& trouble) {
      state.die(fmt::format("{}: {}", state.post()->identity(), trouble.what()), 1);
    }
    status = end_together(state, std::move(status), options);
  }
  port->close();
  if (status.ok() || port->rank() == 0) return status;
  // mpirun ends a job at the first process that fails: let it be the one that has the words.
  let_main_rank_speak({.ranks = port->size(), .rank = port->rank()});
  return Error{"", status.error().kind};
}

}  // namespace boreal::dist
