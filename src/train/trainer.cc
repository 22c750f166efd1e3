#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "monitor/metrics.h"
#include "monitor/progress.h"
#include "monitor/tensorboard.h"
#include "optim/schedule.h"
#include "train/checkpointing.h"
#include "train/phases.h"
#include "train/replica.h"

namespace boreal::train {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double sum_of_weights(const tokens::Batch& batch) {
  double sum = 0;
  for (const float weight : batch.weight) sum += static_cast<double>(weight);
  return sum;
}

// Rows [begin, begin + rows) of a batch.
tokens::Batch rows_of(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows) {
  tokens::Batch part{.rows = rows, .sequence = batch.sequence};
  const auto cut = [&](const auto& from, auto& to) {
    to.assign(from.begin() + begin * batch.sequence,
              from.begin() + (begin + rows) * batch.sequence);
  };
  cut(batch.input, part.input);
  cut(batch.target, part.target);
  cut(batch.weight, part.weight);
  cut(batch.position, part.position);
  cut(batch.doc_begin, part.doc_begin);
  return part;
}

class Loop {
 public:
  Loop(Env& env, const Clock& clock, const spec::RunSpec& spec, const TrainInput& input,
       const TrainOptions& options, Replica& replica, const tokens::TokenStream& stream)
      : env_(env),
        clock_(clock),
        spec_(spec),
        input_(input),
        options_(options),
        replica_(replica),
        stream_(stream),
        phases_(clock) {}

  Status prepare();
  Result<TrainSummary> run();

 private:
  // One optimizer step: everything between two rows of metrics.
  Result<monitor::StepMetrics> step();
  double forward_backward(const tokens::Batch& batch);
  Status not_finite(double loss, double norm) const;
  double validate();
  bool validates_after(std::int64_t step) const;
  Status save();
  Stop asked_to_stop() const {
    return options_.stop == nullptr ? Stop::none : options_.stop->load();
  }

  Env& env_;
  const Clock& clock_;
  const spec::RunSpec& spec_;
  const TrainInput& input_;
  const TrainOptions& options_;
  Replica& replica_;
  const tokens::TokenStream& stream_;
  Phases phases_;
  std::int64_t steps_ = 0;
  std::int64_t micro_rows_ = 0;
  Progressed at_;
  std::int64_t first_step_ = 0;
  std::int64_t saved_step_ = -1;
  std::string checkpoint_;
  std::vector<tokens::Batch> validation_;
  std::vector<std::string> warnings_;
};

Status Loop::prepare() {
  steps_ = steps_of(spec_);
  micro_rows_ = spec_.train.micro_batch_sequences > 0 ? spec_.train.micro_batch_sequences
                                                      : spec_.train.batch_sequences;
  at_.loss = at_.validation_loss = kNan;
  ASSIGN_OR_RETURN(const auto restored, restore(env_, replica_, input_, options_, warnings_));
  if (restored.has_value()) {
    at_ = *restored;
    saved_step_ = at_.step;
  } else if (!spec_.train.init_from.empty()) {
    replica_.state().initialise(static_cast<std::uint64_t>(spec_.seed));
    RETURN_IF_ERROR(initialise_from(env_, replica_, spec_.train.init_from));
    replica_.publish();
  } else {
    replica_.state().initialise(static_cast<std::uint64_t>(spec_.seed));
    replica_.publish();
  }
  first_step_ = at_.step;
  const tokens::StreamOptions options =
      stream_options(spec_, input_, replica_.model().config().vocab);
  for (const tokens::StreamSource& source : input_.validation) {
    ASSIGN_OR_RETURN(auto batches, tokens::validation_batches(env_, source, options, micro_rows_));
    for (tokens::Batch& batch : batches) validation_.push_back(std::move(batch));
  }
  return Done{};
}

double Loop::forward_backward(const tokens::Batch& batch) {
  const double scale = 1 / sum_of_weights(batch);
  double loss = 0;
  for (std::int64_t row = 0; row < batch.rows; row += micro_rows_) {
    const std::int64_t rows = std::min(micro_rows_, batch.rows - row);
    loss += rows == batch.rows ? replica_.accumulate(batch, scale)
                               : replica_.accumulate(rows_of(batch, row, rows), scale);
  }
  return loss;
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
  const double start_s = clock_.now_s();
  const tokens::Batch batch = phases_("fetch", [&] { return stream_.batch(at_.step, {}); });
  if (sum_of_weights(batch) == 0)
    return refused(
        "step {}: no token of the batch counts in the loss; are the .loss files of the shards "
        "right?",
        at_.step + 1);
  const double loss = phases_("forward_backward", [&] { return forward_backward(batch); });
  const double norm = phases_("clip", [&] { return replica_.gradient_norm(); });
  if (!std::isfinite(loss) || !std::isfinite(norm)) return not_finite(loss, norm).error();
  const double lr = optim::learning_rate(spec_.optim, at_.step, steps_);
  phases_("update", [&] {
    replica_.update(spec_.optim, lr, optim::clip_factor(norm, spec_.optim.clip), at_.step + 1);
  });
  ++at_.step;
  at_.tokens += batch.rows * batch.sequence;
  at_.loss = loss;
  monitor::StepMetrics row{
      .step = at_.step, .tokens = at_.tokens, .loss = loss, .grad_norm = norm, .lr = lr};
  row.step_ms = (clock_.now_s() - start_s) * 1e3;
  row.tokens_per_s = static_cast<double>(batch.rows * batch.sequence) / (row.step_ms * 1e-3);
  if (options_.peak_flops > 0)
    row.flop_utilisation = row.tokens_per_s *
                           replica_.model().flops_per_token(spec_.data.sequence) /
                           options_.peak_flops;
  if (validates_after(at_.step))
    row.validation_loss = at_.validation_loss = phases_("validate", [&] { return validate(); });
  row.phases_ms = phases_.take();
  return row;
}

bool Loop::validates_after(std::int64_t step) const {
  if (validation_.empty()) return false;
  return step == steps_ || (spec_.eval.every_steps > 0 && step % spec_.eval.every_steps == 0);
}

double Loop::validate() {
  double loss = 0;
  double weight = 0;
  for (const tokens::Batch& batch : validation_) {
    const double here = sum_of_weights(batch);
    if (here == 0) continue;
    loss += replica_.evaluate(batch);
    weight += here;
  }
  return weight > 0 ? loss / weight : kNan;
}

Status Loop::save() {
  if (saved_step_ == at_.step) return Done{};
  ASSIGN_OR_RETURN(checkpoint_,
                   train::save(env_, replica_, at_, spec_.checkpoint, input_, options_));
  saved_step_ = at_.step;
  return Done{};
}

Result<TrainSummary> Loop::run() {
  const double start_s = clock_.now_s();
  ASSIGN_OR_RETURN(auto metrics, monitor::MetricsWriter::open(
                                     env_, join_path(options_.out, "metrics.jsonl"), at_.step));
  ASSIGN_OR_RETURN(
      auto events,
      monitor::EventWriter::open(env_, clock_, join_path(options_.out, "tensorboard"), at_.step));
  monitor::ProgressOptions look = monitor::stderr_progress("train", options_.quiet);
  look.unit = "step";
  look.total = steps_;
  look.first = at_.step;
  monitor::Progress progress(clock_, look);
  // A warning is no progress: it comes also where that is not wanted.
  monitor::Progress loud(clock_, monitor::stderr_progress("train", false));
  for (const std::string& warning : warnings_) loud.print("warning: " + warning);
  std::vector<double> rates;
  Stop stop = Stop::none;
  while (at_.step < steps_ && stop == Stop::none) {
    ASSIGN_OR_RETURN(const monitor::StepMetrics row, step());
    RETURN_IF_ERROR(metrics.append(row));
    RETURN_IF_ERROR(events.append(row));
    rates.push_back(row.tokens_per_s);
    progress.update(at_.step, [&] {
      return monitor::training_fields(row.loss, row.tokens_per_s, row.flop_utilisation);
    });
    stop = asked_to_stop();
    const bool due =
        spec_.checkpoint.every_steps > 0 && at_.step % spec_.checkpoint.every_steps == 0;
    if (due || at_.step == steps_ || stop == Stop::save_and_requeue || stop == Stop::save_and_end) {
      // The rows up to here are on disk before the checkpoint that stands for them.
      RETURN_IF_ERROR(metrics.sync());
      RETURN_IF_ERROR(events.sync());
      RETURN_IF_ERROR(phases_("save", [&] { return save(); }));
    }
  }
  if (at_.step < steps_) {
    const std::string kept = fmt::format(
        "stopped after step {} of {}; the same command goes on from there", at_.step, steps_);
    return Error{kept,
                 stop == Stop::save_and_requeue ? ErrorKind::try_again : ErrorKind::interrupted};
  }
  progress.finish();
  RETURN_IF_ERROR(save());

  TrainSummary summary{.steps = at_.step,
                       .tokens = at_.tokens,
                       .first_step = first_step_,
                       .loss = at_.loss,
                       .validation_loss = at_.validation_loss,
                       .wall_s = clock_.now_s() - start_s};
  if (!rates.empty()) {
    std::ranges::nth_element(rates, rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2));
    summary.tokens_per_s = rates[rates.size() / 2];
  }
  if (options_.peak_flops > 0)
    summary.flop_utilisation = summary.tokens_per_s *
                               replica_.model().flops_per_token(spec_.data.sequence) /
                               options_.peak_flops;
  summary.parameters = replica_.model().parameter_count();
  summary.checkpoint = join_path(options_.out, fmt::format("checkpoints/step-{}", at_.step));
  return summary;
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

Result<TrainSummary> train(Env& env, const Clock& clock, device::Pool& pool,
                           const spec::RunSpec& spec, const model::DecoderConfig& config,
                           const TrainInput& input, const TrainOptions& options) {
  if (steps_of(spec) <= 0)
    return wrong_usage("train: give train.steps or train.tokens; both are 0");
  if (spec.data.sequence > config.context)
    return wrong_usage("data.sequence {} is longer than model.context {}", spec.data.sequence,
                       config.context);
  ASSIGN_OR_RETURN(
      const auto stream,
      tokens::TokenStream::open(env, input.train, stream_options(spec, input, config.vocab)));
  const std::int64_t micro = spec.train.micro_batch_sequences > 0 ? spec.train.micro_batch_sequences
                                                                  : spec.train.batch_sequences;
  Replica replica(config,
                  {.rows = micro,
                   .sequence = spec.data.sequence,
                   .recompute = spec.train.recompute == "full",
                   .threads = pool.threads()},
                  pool);
  Loop loop(env, clock, spec, input, options, replica, stream);
  RETURN_IF_ERROR(loop.prepare());
  return loop.run();
}

}  // namespace boreal::train
