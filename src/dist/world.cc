#include "dist/world.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "dist/launch.h"
#include "dist/mpi_world.h"
#include "dist/thread_world.h"
#include "dist/world_state.h"

namespace boreal::dist {

namespace {

class SingleState final : public World::State {
 public:
  SingleState() : World::State(Seat{}) {}
  std::unique_ptr<Transport> connect(std::span<const std::int64_t>, std::string_view) override {
    return nullptr;
  }
};

// N of "threads:N"; 0: not of that form.
std::int64_t thread_count(std::string_view kind) {
  constexpr std::string_view kPrefix = "threads:";
  if (!kind.starts_with(kPrefix)) return 0;
  kind.remove_prefix(kPrefix.size());
  std::int64_t count = 0;
  const auto [end, code] = std::from_chars(kind.data(), kind.data() + kind.size(), count);
  return code == std::errc() && end == kind.data() + kind.size() ? count : 0;
}

constexpr std::int64_t kThreadRanksMax = 4096;

}  // namespace

const Group& World::State::group(std::span<const std::int64_t> ranks, std::string_view axis) {
  std::pair key(std::vector<std::int64_t>(ranks.begin(), ranks.end()), std::string(axis));
  if (const auto known = groups_.find(key); known != groups_.end()) return known->second;
  CHECK(!ranks.empty() && std::ranges::adjacent_find(ranks, std::greater_equal()) == ranks.end(),
        "the ranks of group {} do not rise", axis);
  CHECK(ranks.front() >= 0 && ranks.back() < seat_.size, "group {} has rank {}, the world {} ranks",
        axis, ranks.back(), seat_.size);
  const auto own = std::ranges::find(ranks, seat_.rank);
  CHECK(own != ranks.end(), "rank {} asks for a group {} that it is not in", seat_.rank, axis);
  auto members = std::make_shared<Group::Members>();
  members->rank = own - ranks.begin();
  members->size = static_cast<std::int64_t>(ranks.size());
  members->axis = axis;
  members->ranks = key.first;
  members->world = this;
  if (ranks.size() > 1) members->transport = connect(ranks, axis);
  return groups_.emplace(std::move(key), Group(std::move(members))).first->second;
}

World::World() : World(std::make_unique<SingleState>()) {}
World::World(std::unique_ptr<State> state) : state_(std::move(state)) {}
World::~World() = default;
World::World(World&&) noexcept = default;

std::int64_t World::rank() const {
  return state_->seat().rank;
}
std::int64_t World::size() const {
  return state_->seat().size;
}
std::int64_t World::local_rank() const {
  return state_->seat().local_rank;
}
std::int64_t World::local_size() const {
  return state_->seat().local_size;
}
std::string_view World::kind() const {
  return state_->seat().kind;
}

const Group& World::all() const {
  std::vector<std::int64_t> ranks(static_cast<std::size_t>(size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return state_->group(ranks, "world");
}

const Group& World::group(std::span<const std::int64_t> ranks, std::string_view axis) {
  return state_->group(ranks, axis);
}

void World::describe(const std::string& coordinate) {
  if (Post* post = state_->post(); post != nullptr) post->describe(coordinate);
}

void World::at_step(std::int64_t step) {
  if (Post* post = state_->post(); post != nullptr) post->at_step(step);
}

Traffic World::take_traffic() {
  Lane* lane = state_->lane();
  return lane == nullptr ? Traffic() : lane->take_traffic();
}

Status run_world(const std::string& kind, const WorldOptions& options,
                 const std::function<Status(World&)>& body) {
  const std::int64_t threads = thread_count(kind);
  if (kind != "single" && kind != "mpi" && (threads < 1 || threads > kThreadRanksMax))
    return wrong_usage("world \"{}\" is none of single, threads:N (N up to {}) and mpi", kind,
                       kThreadRanksMax);
  if (kind == "mpi") return run_mpi(options, body);
  RETURN_IF_ERROR(check_alone(kind, read_launch()));
  if (kind != "single") return run_threads(threads, options, body);
  World world;
  return body(world);
}

}  // namespace boreal::dist
