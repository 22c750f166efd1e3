#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "monitor/metrics.h"
#include "monitor/progress.h"
#include "monitor/tensorboard.h"
#include "optim/schedule.h"
#include "tokens/row.h"
#include "train/checkpointing.h"
#include "train/moments_file.h"
#include "train/phases.h"
#include "train/replica.h"
#include "train/step_recorder.h"

namespace boreal::train {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class Loop {
 public:
  Loop(Env& env, const Clock& clock, dist::World& world, const spec::RunSpec& spec,
       const TrainInput& input, const TrainOptions& options, Replica& replica,
       const tokens::TokenStream& stream)
      : env_(env),
        clock_(clock),
        world_(world),
        mesh_(replica.mesh()),
        spec_(spec),
        input_(input),
        options_(options),
        replica_(replica),
        stream_(stream),
        phases_(clock) {}

  Status prepare();
  Result<TrainSummary> run();
  // Behind run(): what the recorded steps say, and the most anonymous memory at the end of a step.
  Result<monitor::Table> profile();
  std::int64_t most_bytes() const { return most_bytes_; }

 private:
  // One optimizer step: everything between two rows of metrics.
  Result<monitor::StepMetrics> step();
  double forward_backward(const tokens::Batch& batch, double weight);
  Status not_finite(double loss, double norm) const;
  double validate();
  bool validates_after(std::int64_t step) const;
  Status save();
  Stop asked_to_stop() const;
  monitor::StepMetrics metrics_of(double start_s, double loss, double norm, double lr) const;

  Env& env_;
  const Clock& clock_;
  dist::World& world_;
  const dist::DeviceMesh& mesh_;
  const spec::RunSpec& spec_;
  const TrainInput& input_;
  const TrainOptions& options_;
  Replica& replica_;
  const tokens::TokenStream& stream_;
  Phases phases_;
  tokens::Batch batch_;
  std::int64_t steps_ = 0;
  std::int64_t micro_rows_ = 0;
  Progressed at_;
  std::int64_t first_step_ = 0;
  std::int64_t most_bytes_ = 0;
  std::int64_t saved_step_ = -1;
  std::string checkpoint_;
  std::vector<tokens::Batch> validation_;  // those of this rank
  std::int64_t validation_batches_ = 0;    // of all ranks
  std::vector<std::string> warnings_;
  std::optional<StepRecorder> recorder_;
};

Status Loop::prepare() {
  steps_ = steps_of(spec_);
  micro_rows_ = step_shape(spec_, 1).rows;
  replica_.set_z_loss(spec_.optim.z_loss);
  at_.loss = at_.validation_loss = kNan;
  ASSIGN_OR_RETURN(const auto restored, restore(env_, replica_, input_, options_, warnings_));
  if (restored.has_value()) {
    at_ = *restored;
    saved_step_ = at_.step;
  } else {
    replica_.state().initialise(replica_.ctx(), static_cast<std::uint64_t>(spec_.seed));
    if (!spec_.train.init_from.empty())
      RETURN_IF_ERROR(initialise_from(env_, replica_, spec_.train.init_from));
    replica_.publish();
  }
  first_step_ = at_.step;
  TrainOptions recorded = options_;
  if (!world_.is_main()) recorded.profile_steps = 0;
  recorder_.emplace(env_, clock_, replica_, phases_, recorded, steps_ - at_.step,
                    options_.peak_flops / static_cast<double>(world_.size()));
  const tokens::StreamOptions options =
      stream_options(spec_, input_, replica_.model().config().vocab);
  for (const tokens::StreamSource& source : input_.validation) {
    ASSIGN_OR_RETURN(auto batches, tokens::validation_batches(env_, source, options, micro_rows_));
    for (tokens::Batch& batch : batches)
      if (validation_batches_++ % mesh_.batch_parts() == mesh_.batch_index())
        validation_.push_back(std::move(batch));
  }
  return Done{};
}

double Loop::forward_backward(const tokens::Batch& batch, double weight) {
  const double scale = 1 / weight;
  double loss = 0;
  for (std::int64_t row = 0; row < batch.rows; row += micro_rows_) {
    const std::int64_t rows = std::min(micro_rows_, batch.rows - row);
    const bool last = row + rows == batch.rows;
    loss += replica_.accumulate(batch, row, rows, scale, last);
  }
  return mesh_.dp().sum(loss);
}

Status Loop::not_finite(double loss, double norm) const {
  std::string where = replica_.first_non_finite();
  if (where.empty()) where = "loss";
  return failed(
      "step {}: not finite: loss {}, gradient norm {}, first in {}; {}. A lower optim.lr or a "
      "tighter optim.clip helps "
      "where the data are sound",
      at_.step + 1, loss, norm, where,
      checkpoint_.empty() && saved_step_ < 0
          ? std::string("no checkpoint was written yet")
          : fmt::format("the checkpoint of step {} is kept", saved_step_));
}

Result<monitor::StepMetrics> Loop::step() {
  RETURN_IF_ERROR(recorder_->advance());
  const device::Span span(recorder_->profile(),
                          {.name = "step", .kind = device::SpanKind::step, .index = at_.step + 1});
  const double start_s = clock_.now_s();
  world_.at_step(at_.step + 1);
  phases_("fetch", [&] {
    stream_.batch(at_.step, {mesh_.batch_index(), mesh_.batch_parts()}, batch_);
  });
  const double weight = mesh_.dp().sum(tokens::sum_of_weights(batch_));
  if (weight == 0)
    return refused(
        "step {}: no token of the batch counts in the loss; are the .loss files of the shards "
        "right?",
        at_.step + 1);
  const double loss = phases_("forward_backward", [&] { return forward_backward(batch_, weight); });
  const double norm = phases_("clip", [&] { return replica_.gradient_norm(); });
  if (!std::isfinite(loss) || !std::isfinite(norm)) return not_finite(loss, norm).error();
  const double lr = optim::learning_rate(spec_.optim, at_.step, steps_);
  phases_("update", [&] {
    replica_.update(spec_.optim, lr, optim::clip_factor(norm, spec_.optim.clip), at_.step + 1);
  });
  ++at_.step;
  at_.tokens += spec_.train.batch_sequences * spec_.data.sequence;
  at_.loss = loss;
  monitor::StepMetrics row = metrics_of(start_s, loss, norm, lr);
  if (validates_after(at_.step))
    row.validation_loss = at_.validation_loss = phases_("validate", [&] { return validate(); });
  row.phases_ms = phases_.take();
  return row;
}

monitor::StepMetrics Loop::metrics_of(double start_s, double loss, double norm, double lr) const {
  monitor::StepMetrics row{
      .step = at_.step, .tokens = at_.tokens, .loss = loss, .grad_norm = norm, .lr = lr};
  row.step_ms = (clock_.now_s() - start_s) * 1e3;
  row.tokens_per_s =
      static_cast<double>(spec_.train.batch_sequences * spec_.data.sequence) / (row.step_ms * 1e-3);
  if (options_.peak_flops > 0)
    row.flop_utilisation = row.tokens_per_s *
                           replica_.model().flops_per_token(spec_.data.sequence) /
                           options_.peak_flops;
  return row;
}

// What the most pressing of the ranks' signals asks for: they reach the ranks at different times.
Stop Loop::asked_to_stop() const {
  auto asked = static_cast<float>(options_.stop == nullptr ? Stop::none : options_.stop->load());
  mesh_.all()
      .all_reduce(replica_.ctx(), tensor::Tensor(&asked, DType::f32, tensor::Shape{1}),
                  dist::Reduce::max)
      .wait();
  return static_cast<Stop>(static_cast<int>(asked));
}

bool Loop::validates_after(std::int64_t step) const {
  if (validation_batches_ == 0) return false;
  return step == steps_ || (spec_.eval.every_steps > 0 && step % spec_.eval.every_steps == 0);
}

double Loop::validate() {
  replica_.settle();
  double loss = 0;
  double weight = 0;
  for (const tokens::Batch& batch : validation_) {
    const double here = tokens::sum_of_weights(batch);
    if (here == 0) continue;
    loss += replica_.evaluate(batch);
    weight += here;
  }
  loss = mesh_.dp().sum(loss);
  weight = mesh_.dp().sum(weight);
  return weight > 0 ? loss / weight : kNan;
}

Status Loop::save() {
  if (saved_step_ == at_.step) return Done{};
  ASSIGN_OR_RETURN(checkpoint_,
                   train::save(env_, replica_, at_, spec_.checkpoint, input_, options_));
  saved_step_ = at_.step;
  return Done{};
}

// What a run leaves beside its checkpoints, row by row; rank 0's.
class Rows {
 public:
  static Result<Rows> open(Env& env, const Clock& clock, const std::string& out,
                           std::int64_t step) {
    ASSIGN_OR_RETURN(auto metrics,
                     monitor::MetricsWriter::open(env, join_path(out, "metrics.jsonl"), step));
    ASSIGN_OR_RETURN(auto events,
                     monitor::EventWriter::open(env, clock, join_path(out, "tensorboard"), step));
    return Rows(std::move(metrics), std::move(events));
  }
  Status append(const monitor::StepMetrics& row) {
    RETURN_IF_ERROR(metrics_.append(row));
    return events_.append(row);
  }
  Status sync() {
    RETURN_IF_ERROR(metrics_.sync());
    return events_.sync();
  }

 private:
  Rows(monitor::MetricsWriter metrics, monitor::EventWriter events)
      : metrics_(std::move(metrics)), events_(std::move(events)) {}
  monitor::MetricsWriter metrics_;
  monitor::EventWriter events_;
};

// The median of the last ones: a list that grows would allocate while steps run.
class Rates {
 public:
  explicit Rates(std::int64_t steps)
      : rates_(static_cast<std::size_t>(std::clamp<std::int64_t>(steps, 1, 1 << 16))) {}
  void add(double rate) { rates_[static_cast<std::size_t>(taken_++) % rates_.size()] = rate; }
  double median() {
    const auto count = std::min(taken_, std::ssize(rates_));
    if (count == 0) return 0;
    std::nth_element(rates_.begin(), rates_.begin() + count / 2, rates_.begin() + count);
    return rates_[static_cast<std::size_t>(count / 2)];
  }

 private:
  std::vector<double> rates_;
  std::ptrdiff_t taken_ = 0;
};

Result<TrainSummary> Loop::run() {
  const double start_s = clock_.now_s();
  std::optional<Rows> rows;
  Status opened = Done{};
  if (world_.is_main()) {
    Result<Rows> made = Rows::open(env_, clock_, options_.out, at_.step);
    opened = made.ok() ? Status(Done{}) : std::move(made).error();
    if (made.ok()) rows = std::move(made).value();
  }
  RETURN_IF_ERROR(mesh_.all().agree(opened));
  monitor::ProgressOptions look =
      monitor::stderr_progress("train", options_.quiet || !world_.is_main());
  look.unit = "step";
  look.total = steps_;
  look.first = at_.step;
  monitor::Progress progress(clock_, look);
  // A warning is no progress: it comes also where that is not wanted.
  monitor::Progress loud(clock_, monitor::stderr_progress("train", !world_.is_main()));
  for (const std::string& warning : warnings_) loud.print("warning: " + warning);
  Rates rates(steps_ - at_.step);
  const double ready_s = clock_.now_s() - options_.started_s;
  Stop stop = Stop::none;
  while (at_.step < steps_ && stop == Stop::none) {
    ASSIGN_OR_RETURN(const monitor::StepMetrics row, step());
    Status written = rows.has_value() ? rows->append(row) : Done{};
    most_bytes_ = std::max(most_bytes_, device::anonymous_bytes());
    rates.add(row.tokens_per_s);
    progress.update(at_.step, [&] {
      return monitor::training_fields(row.loss, row.tokens_per_s, row.flop_utilisation);
    });
    stop = asked_to_stop();
    const bool due =
        spec_.checkpoint.every_steps > 0 && at_.step % spec_.checkpoint.every_steps == 0;
    if (due || at_.step == steps_ || stop == Stop::save_and_requeue || stop == Stop::save_and_end) {
      // The rows up to here are on disk before the checkpoint that stands for them.
      if (written.ok() && rows.has_value()) written = rows->sync();
      RETURN_IF_ERROR(mesh_.all().agree(written));
      RETURN_IF_ERROR(phases_("save", [&] { return save(); }));
    } else if (!written.ok()) {
      return std::move(written).error();
    }
  }
  if (at_.step < steps_) {
    return Error{fmt::format("stopped after step {} of {}; the same command goes on from there",
                             at_.step, steps_),
                 stop == Stop::save_and_requeue ? ErrorKind::try_again : ErrorKind::interrupted};
  }
  progress.finish();
  RETURN_IF_ERROR(save());

  TrainSummary summary{.steps = at_.step,
                       .tokens = at_.tokens,
                       .first_step = first_step_,
                       .loss = at_.loss,
                       .validation_loss = at_.validation_loss,
                       .wall_s = clock_.now_s() - start_s,
                       .ready_s = ready_s};
  summary.tokens_per_s = rates.median();
  if (options_.peak_flops > 0)
    summary.flop_utilisation = summary.tokens_per_s *
                               replica_.model().flops_per_token(spec_.data.sequence) /
                               options_.peak_flops;
  summary.parameters = replica_.model().parameter_count();
  summary.traffic = world_.take_traffic();
  summary.checkpoint = join_path(options_.out, fmt::format("checkpoints/step-{}", at_.step));
  return summary;
}

Result<monitor::Table> Loop::profile() {
  if (first_step_ < steps_) RETURN_IF_ERROR(recorder_->advance());
  return recorder_->table();
}

}  // namespace

std::int64_t steps_of(const spec::RunSpec& spec) {
  if (spec.train.steps > 0) return spec.train.steps;
  const std::int64_t tokens = spec.train.batch_sequences * spec.data.sequence;
  return (spec.train.tokens + tokens - 1) / tokens;
}

tokens::StreamOptions stream_options(const spec::RunSpec& spec, const TrainInput& input,
                                     std::int64_t vocab) {
  return {.sequence = spec.data.sequence,
          .batch_sequences = spec.train.batch_sequences,
          .seed = static_cast<std::uint64_t>(spec.seed),
          .document_mask = spec.data.document_mask,
          .warm_share = spec.data.warm_records,
          .warm_steps = spec.data.warm_steps,
          .tokenizer_fingerprint = input.tokenizer_fingerprint,
          .vocab = vocab};
}

plan::StepShape step_shape(const spec::RunSpec& spec, std::int64_t threads) {
  const std::int64_t rows =
      spec.train.batch_sequences / (spec.mesh.dp_replicate * spec.mesh.dp_shard);
  const std::int64_t micro = spec.train.micro_batch_sequences;
  return {.rows = micro > 0 ? std::min(micro, rows) : rows,
          .batch_rows = rows,
          .sequence = spec.data.sequence,
          .recompute = spec::parse_recompute(spec.train.recompute, spec.model.layers).value(),
          .sequence_parallel = spec.mesh.sequence_parallel,
          .moments_in_file = spec.train.optimizer_state != "memory",
          .threads = threads};
}

Result<TrainSummary> train(Env& env, const Clock& clock, device::Pool& pool, dist::World& world,
                           const dist::DeviceMesh& mesh, const spec::RunSpec& spec,
                           const model::DecoderConfig& config, const TrainInput& input,
                           const TrainOptions& options) {
  if (steps_of(spec) <= 0)
    return wrong_usage("train: give train.steps or train.tokens; both are 0");
  if (spec.data.sequence > config.context)
    return wrong_usage("data.sequence {} is longer than model.context {}", spec.data.sequence,
                       config.context);
  ASSIGN_OR_RETURN(
      const auto stream,
      tokens::TokenStream::open(env, input.train, stream_options(spec, input, config.vocab)));
  const std::int64_t before_bytes = device::anonymous_bytes();
  (void)world.take_traffic();
  const plan::StepShape shape = step_shape(spec, pool.threads());
  std::unique_ptr<FileMemory> moments;
  RETURN_IF_ERROR(mesh.all().agree(map_moments(env, spec, config, shape, mesh, moments)));
  Replica replica(config, shape, pool, mesh,
                  moments != nullptr ? moments->bytes().data() : nullptr);
  Loop loop(env, clock, world, spec, input, options, replica, stream);
  RETURN_IF_ERROR(loop.prepare());
  ASSIGN_OR_RETURN(TrainSummary summary, loop.run());
  ASSIGN_OR_RETURN(summary.profile, loop.profile());
  summary.planned_bytes = replica.plan().total_bytes();
  summary.grown_bytes = loop.most_bytes() - before_bytes;
  return summary;
}

}  // namespace boreal::train
