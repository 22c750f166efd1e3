// Training steps of GPT-2 124M, batch 4 x 1,024: data parallel on two ranks with one thread each,
// against one rank with two threads, in turns. What the ranks say to one another, and how much of
// it hides behind arithmetic. BOREAL_WRITE_DOCS=1 draws docs/mesh_overlap.svg.
#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "base/env.h"
#include "bench/session.h"
#include "bench/training_case.h"
#include "device/machine.h"
#include "dist/place_rank.h"
#include "monitor/chart.h"
#include "optim/schedule.h"
#include "train/replica.h"

namespace boreal::bench {

namespace {

constexpr std::int64_t kRows = 4;
constexpr std::int64_t kSequence = 1024;
constexpr std::int64_t kRanks = 2;

void step(train::Replica& replica, const tokens::Batch& batch, std::int64_t number) {
  const spec::OptimSpec optim;
  const double loss = replica.mesh().dp().sum(replica.accumulate(batch, 1.0 / (kRows * kSequence)));
  CHECK(std::isfinite(loss), "the loss of step {} is {}", number, loss);
  replica.update(optim, 1e-4, optim::clip_factor(replica.gradient_norm(), optim.clip), number);
}

// Two ranks that take a step when they are told to.
class Ranks {
 public:
  Ranks() : thread_([this] { run(); }) { turn_.arrive_and_wait(); }
  ~Ranks() {
    if (thread_.joinable()) (void)finish();
  }

  void step() {
    turn_.arrive_and_wait();
    turn_.arrive_and_wait();
  }
  // Ends them. Rank 0's traffic, of all steps but the first.
  const dist::Traffic& finish() {
    over_ = true;
    turn_.arrive_and_wait();
    thread_.join();
    return traffic_;
  }

 private:
  void run() {
    const Status status =
        dist::run_world(fmt::format("threads:{}", kRanks), {}, [&](dist::World& world) -> Status {
          const auto mesh = dist::DeviceMesh::make(world, {.dp_shard = kRanks});
          device::Pool pool(dist::place_rank(world, device::read_machine(Env::real()), 1));
          train::Replica replica(gpt2_124m(), {.rows = kRows / kRanks, .sequence = kSequence}, pool,
                                 *mesh);
          replica.state().initialise(replica.ctx(), 1);
          replica.publish();
          const tokens::Batch batch = random_batch(kRows / kRanks, kSequence, 50257);
          turn_.arrive_and_wait();
          for (std::int64_t number = 1;; ++number) {
            turn_.arrive_and_wait();
            if (over_) break;
            if (number == 2) (void)world.take_traffic();
            bench::step(replica, batch, number);
            turn_.arrive_and_wait();
          }
          replica.settle();
          if (world.is_main()) traffic_ = world.take_traffic();
          return Done{};
        });
    CHECK(status.ok(), "{}", status.error().message);
  }

  std::barrier<> turn_{kRanks + 1};
  bool over_ = false;
  dist::Traffic traffic_;
  std::thread thread_;
};

// Of the collectives that are meant to run beside arithmetic.
void report_overlap(const Session& session, const dist::Traffic& traffic) {
  monitor::BarChart chart{
      .title = "Between two data-parallel ranks, GPT-2 124M",
      .value_label = "milliseconds a call",
      .categories = {},
      .series = {{.name = "runs", .bars = {}}, {.name = "stands in the way", .bars = {}}},
      .style = monitor::NumberStyle::plain,
      .caption =
          "2 threads, 4 x 1,024 tokens. What does not stand in the way runs while layers "
          "compute; here on the same cores."};
  for (const dist::TrafficRow& row : traffic) {
    if (row.operation != "reduce_scatter" && row.operation != "all_gather") continue;
    session.note("mesh.hidden." + row.operation, 1 - row.waited_s / row.busy_s,
                 "its time, behind arithmetic");
    const double calls = static_cast<double>(row.calls);
    chart.categories.push_back(row.operation);
    chart.series[0].bars.push_back(monitor::Measured{row.busy_s / calls * 1e3});
    chart.series[1].bars.push_back(monitor::Measured{row.waited_s / calls * 1e3});
  }
  if (std::getenv("BOREAL_WRITE_DOCS") == nullptr) return;
  double longest = 0;
  for (const auto& bar : chart.series[0].bars) longest = std::max(longest, bar->value);
  chart.high = 1.15 * longest;  // room for the number behind the bar
  const Status drawn = monitor::write_svg(
      Env::real(), std::string(BOREAL_SOURCE_DIR) + "/docs/mesh_overlap.svg", chart);
  CHECK(drawn.ok(), "{}", drawn.error().message);
}

}  // namespace

void run_cases(Session& session) {
  Case c{.name = "mesh.gpt2_124m.dp_shard2",
         .unit = "tokens/s",
         .units = kRows * kSequence,
         .peak_name = "bf16",
         .run = {}};
  if (!session.wants(c.name)) return;
  train::Replica alone(gpt2_124m(),
                       {.rows = kRows, .sequence = kSequence, .threads = session.ctx().threads},
                       session.pool());
  alone.state().initialise(alone.ctx(), 1);
  alone.publish();
  const tokens::Batch batch = random_batch(kRows, kSequence, 50257);
  std::int64_t number = 0;
  c.peak_per_s = session.peak_gflops(DType::bf16) * 1e9 / alone.model().flops_per_token(kSequence);
  Ranks ranks;
  c.run = [&] { ranks.step(); };
  session.compare(
      c, [&] { step(alone, batch, ++number); },
      fmt::format("one rank with {} threads", session.ctx().threads));
  report_overlap(session, ranks.finish());
}

}  // namespace boreal::bench
