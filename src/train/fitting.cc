#include "train/fitting.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "spec/reader.h"
#include "train/trainer.h"

namespace boreal::train {

namespace {

std::string gb(std::int64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) * 1e-9);
}

// Rows that a rank takes of a step.
std::int64_t rows_of_rank(const spec::RunSpec& spec) {
  return spec.train.batch_sequences / (spec.mesh.dp_replicate * spec.mesh.dp_shard);
}

// Plans a copy of the run that `change` has changed; nothing for one that is no sound run.
class Planner {
 public:
  explicit Planner(const Demand& demand)
      : demand_(demand), now_(plan_of(demand).total_bytes() * demand.ranks_here) {}

  std::int64_t now_bytes() const { return now_; }

  std::int64_t bytes(const spec::RunSpec& spec, const model::DecoderConfig& config) const {
    return plan_of({spec, config, demand_.mesh, demand_.threads}).total_bytes() *
           demand_.ranks_here;
  }
  // Adds the change where it helps.
  void offer(const std::string& text, const spec::RunSpec& spec,
             const model::DecoderConfig& config) {
    if (!spec::validate(spec).ok()) return;
    if (const std::int64_t need = bytes(spec, config); need < now_) found.push_back({text, need});
  }

  std::vector<Change> found;

 private:
  const Demand& demand_;
  std::int64_t now_;
};

// The largest micro-batch that fits, else one row.
std::int64_t micro_batch(const Planner& planner, const Demand& demand, std::int64_t bytes) {
  spec::RunSpec spec = demand.spec;
  const std::int64_t rows = rows_of_rank(spec);
  for (std::int64_t micro = step_shape(spec, 1).rows - 1; micro > 1; --micro) {
    if (rows % micro != 0) continue;
    spec.train.micro_batch_sequences = micro;
    if (planner.bytes(spec, demand.config) <= bytes) return micro;
  }
  return 1;
}

// With the optimizer's state over more and more ranks, each on a machine of its own.
void offer_machines(const Demand& demand, std::int64_t bytes, std::vector<Change>& found) {
  spec::RunSpec spec = demand.spec;
  Change last;
  while (last.bytes == 0 || last.bytes > bytes) {
    spec.mesh.dp_shard *= 2;
    if (rows_of_rank(spec) < 1 || !spec::validate(spec).ok()) break;
    const auto mesh = dist::DeviceMesh::imagined(dist::Layout(spec.mesh), 0);
    last = {
        fmt::format("mesh.dp_shard: {} (each rank on a machine of its own)", spec.mesh.dp_shard),
        plan_of({spec, demand.config, mesh, demand.threads}).total_bytes()};
  }
  if (last.bytes > 0) found.push_back(last);
}

std::string list_of(const std::vector<Change>& changes) {
  std::vector<std::string> texts;
  for (const Change& change : changes)
    texts.push_back(fmt::format("{} ({})", change.text, gb(change.bytes)));
  return fmt::format("{}", fmt::join(texts, "; "));
}

std::string advice(const std::vector<Change>& changes, std::int64_t bytes) {
  std::vector<Change> fit;
  for (const Change& change : changes)
    if (change.bytes <= bytes) fit.push_back(change);
  if (!fit.empty()) return "it would fit with one of: " + list_of(fit);
  if (changes.empty()) return "nothing in the spec but a smaller model makes it smaller";
  const auto least = std::ranges::min_element(changes, {}, &Change::bytes);
  return fmt::format(
      "no change of the spec makes it fit, a smaller model does; the least is {} ({})", least->text,
      gb(least->bytes));
}

}  // namespace

plan::MemoryPlan plan_of(const Demand& demand) {
  const plan::StepShape shape = step_shape(demand.spec, demand.threads);
  const model::Decoder model(demand.config, demand.mesh.tp(), shape.sequence_parallel);
  return plan::plan_training(model, shape, {demand.mesh.dp_shard(), demand.mesh.dp_replicate()});
}

std::vector<Change> smaller(const Demand& demand, std::int64_t bytes) {
  Planner planner(demand);
  spec::RunSpec all = demand.spec;
  model::DecoderConfig all_config = demand.config;
  std::vector<std::string> texts;
  const auto offer = [&](const std::string& text, const auto& change) {
    spec::RunSpec one = demand.spec;
    model::DecoderConfig config = demand.config;
    change(one, config);
    const std::size_t before = planner.found.size();
    planner.offer(text, one, config);
    if (planner.found.size() > before) change(all, all_config), texts.push_back(text);
  };
  offer("train.recompute: selective",
        [](auto& spec, auto&) { spec.train.recompute = "selective"; });
  offer("train.recompute: full", [](auto& spec, auto&) { spec.train.recompute = "full"; });
  if (texts.size() == 2) texts.erase(texts.begin());  // the second one takes its place
  const std::int64_t micro = micro_batch(planner, demand, bytes);
  offer(fmt::format("train.micro_batch_sequences: {}", micro),
        [&](auto& spec, auto&) { spec.train.micro_batch_sequences = micro; });
  offer("train.optimizer_state: FOLDER",
        [](auto& spec, auto&) { spec.train.optimizer_state = "FOLDER"; });
  offer("model.dtype: bf16", [](auto& spec, auto& config) {
    spec.model.dtype = "bf16";
    config.dtype = DType::bf16;
  });
  if (texts.size() > 1)
    planner.offer(fmt::format("{}", fmt::join(texts, " and ")), all, all_config);
  offer_machines(demand, bytes, planner.found);
  return std::move(planner.found);
}

Status check_fits(const Demand& demand, const device::Machine& machine) {
  const plan::MemoryPlan plan = plan_of(demand);
  const std::int64_t need = plan.total_bytes() * demand.ranks_here;
  const std::int64_t have = machine.available_bytes;
  if (need <= have) return Done{};
  std::vector<Change> classes;
  for (const auto& [name, bytes] : plan.classes())
    if (bytes > 0) classes.push_back({name, bytes});
  return refused(
      "training needs {} of memory{}: {}; this machine has {}, of which {} are free; {}", gb(need),
      demand.ranks_here > 1 ? fmt::format(" for its {} ranks here, each", demand.ranks_here) : "",
      list_of(classes), gb(machine.memory_bytes), gb(have), advice(smaller(demand, have), have));
}

}  // namespace boreal::train
