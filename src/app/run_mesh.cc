// boreal mesh: how a spec cuts its ranks, what each of them holds and reads, and where its threads
// would sit on this machine. Starts nothing.
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/stages.h"
#include "device/machine.h"
#include "device/placement.h"
#include "dist/layout_check.h"
#include "monitor/table.h"
#include "spec/reader.h"

namespace boreal::app {

namespace {

using dist::Axis;
using nlohmann::ordered_json;

constexpr std::int64_t kRanksShown = 32;
// More do not sit on one machine, and what one of them gets depends on all others.
constexpr std::int64_t kRanksPlaced = 4096;

// Of "threads:N"; 0 for other worlds, whose ranks are as many as the mesh has.
std::int64_t thread_ranks(const std::string& world) {
  constexpr std::string_view kThreads = "threads:";
  std::int64_t ranks = 0;
  if (world.starts_with(kThreads))
    std::from_chars(world.data() + kThreads.size(), world.data() + world.size(), ranks);
  return ranks;
}

std::string purpose(Axis axis, const spec::MeshSpec& mesh) {
  switch (axis) {
    case Axis::pp: return "each has a run of the layers (comes later)";
    case Axis::dp_replicate: return "each reads other rows and has all of the optimizer's state";
    case Axis::dp_shard: return "each reads other rows and has a part of the optimizer's state";
    case Axis::cp: return "each has a part of every row (comes later)";
    case Axis::tp:
      return fmt::format("each has a part of every layer's heads and MLP{}",
                         mesh.sequence_parallel ? ", and of the tokens between them" : "");
  }
  return "";
}

monitor::Table axes_table(const dist::Layout& layout, const spec::MeshSpec& mesh) {
  monitor::Table table{.title = "Axes, slowest first",
                       .columns = {{"axis", "axis"},
                                   {"ranks", "ranks", monitor::NumberStyle::count},
                                   {"purpose", "its ranks"}}};
  for (const Axis axis : dist::kAxes)
    table.rows.push_back(
        {std::string(dist::name_of(axis)), layout.size(axis), purpose(axis, mesh)});
  return table;
}

// What `boreal mesh` says of one rank.
struct Seat {
  std::int64_t rank = 0;
  dist::Coordinate at{};
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  device::Placement placement;
};

class Seats {
 public:
  Seats(const spec::RunSpec& spec, const dist::Layout& layout)
      : layout_(layout), rows_(spec.train.batch_sequences / layout.batch_parts()) {
    if (!placed()) return;
    host_ = device::read_host();
    ranks_.masks.assign(static_cast<std::size_t>(layout.ranks()), device::own_mask());
    ranks_.threads = spec.threads;
    ranks_.core_time = device::read_machine(Env::real()).core_time;
  }

  // As if all ranks were on this machine.
  bool placed() const { return layout_.ranks() <= kRanksPlaced; }

  Seat seat(std::int64_t rank) {
    const dist::Coordinate at = layout_.coordinate(rank);
    Seat seat{.rank = rank, .at = at, .first_row = layout_.batch_index(at) * rows_, .rows = rows_};
    ranks_.local_rank = rank;
    if (placed()) seat.placement = device::place(host_, ranks_);
    return seat;
  }

 private:
  const dist::Layout& layout_;
  std::int64_t rows_;
  device::Host host_;
  device::HostRanks ranks_;
};

std::string processors(const device::Placement& placement) {
  return placement.pins.empty() ? "any" : device::mask_text(placement.share);
}

monitor::Table ranks_table(const dist::Layout& layout, Seats& seats) {
  monitor::Table table{.title = "Ranks",
                       .columns = {{"rank", "rank", monitor::NumberStyle::count},
                                   {"place", "place"},
                                   {"rows", "rows of a step"}}};
  if (seats.placed()) {
    table.columns.push_back({"threads", "threads", monitor::NumberStyle::count});
    table.columns.push_back({"processors", "processors"});
  }
  for (std::int64_t rank = 0; rank < std::min(layout.ranks(), kRanksShown); ++rank) {
    const Seat seat = seats.seat(rank);
    const std::int64_t last = seat.first_row + seat.rows - 1;
    table.rows.push_back(
        {rank, layout.text_of(seat.at),
         seat.rows > 1 ? fmt::format("{}-{}", seat.first_row, last) : fmt::format("{}", last)});
    if (!seats.placed()) continue;
    table.rows.back().emplace_back(seat.placement.threads);
    table.rows.back().emplace_back(processors(seat.placement));
  }
  return table;
}

ordered_json seat_json(const dist::Layout& layout, const Seat& seat, bool placed) {
  ordered_json json{{"rank", seat.rank}, {"place", layout.text_of(seat.at)}};
  for (const Axis axis : dist::kAxes)
    json["coordinate"][dist::name_of(axis)] = seat.at[static_cast<std::size_t>(axis)];
  json["rows"] = {seat.first_row, seat.first_row + seat.rows};
  if (!placed) return json;
  json["threads"] = seat.placement.threads;
  json["pins"] = seat.placement.pins;
  return json;
}

ordered_json figures(const dist::Layout& layout, Seats& seats, const std::string& world) {
  ordered_json json{{"layout", layout.text()}, {"world", world}, {"ranks", layout.ranks()}};
  for (const Axis axis : dist::kAxes) json["axes"][dist::name_of(axis)] = layout.size(axis);
  json["batch_parts"] = layout.batch_parts();
  json["places"] = ordered_json::array();
  for (std::int64_t rank = 0; rank < layout.ranks(); ++rank)
    json["places"].push_back(seat_json(layout, seats.seat(rank), seats.placed()));
  return json;
}

}  // namespace

Status run_mesh(const Arguments& args) {
  std::vector<std::string> sets = args.sets;
  if (!args.world.empty()) sets.push_back("world=" + args.world);
  ASSIGN_OR_RETURN(const spec::RunSpec spec, spec::read_run_spec(Env::real(), args.spec, sets));
  const dist::Layout layout(spec.mesh);
  ASSIGN_OR_RETURN(const spec::MeshWork work, mesh_work_of(spec));
  const std::int64_t ranks = thread_ranks(spec.world);
  RETURN_IF_ERROR(dist::check_layout(spec.mesh, work, ranks > 0 ? ranks : layout.ranks()));
  Seats seats(spec, layout);
  std::printf("ranks %ld: %s; a step's %ld rows are read in %ld parts\n\n",
              static_cast<long>(layout.ranks()), layout.text().c_str(),
              static_cast<long>(spec.train.batch_sequences),
              static_cast<long>(layout.batch_parts()));
  std::printf("%s\n%s", monitor::to_text(axes_table(layout, spec.mesh)).c_str(),
              monitor::to_text(ranks_table(layout, seats)).c_str());
  if (layout.ranks() > kRanksShown)
    std::printf("... and %ld more, in the same order\n",
                static_cast<long>(layout.ranks() - kRanksShown));
  if (seats.placed())
    std::printf("\nthreads and processors as if all ranks were on this machine: %s\n",
                seats.seat(0).placement.why.c_str());
  if (args.json) print_figures(args, figures(layout, seats, spec.world));
  return Done{};
}

}  // namespace boreal::app
