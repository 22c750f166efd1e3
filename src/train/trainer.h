// Trainer: the loop over steps. Runs named, timed phases over a token stream, writes metrics,
// events and checkpoints, and goes on from the newest whole checkpoint. It owns no mathematics:
// that is Replica's. Data order, learning rate and weights are functions of the step, so a run that
// was killed and resumed ends with the same bits as one that was not. All ranks of the world call
// it; they decide alike, and rank 0 writes what is not a checkpoint's. Thread rule: one thread a
// rank, the one that owns the pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/env.h"
#include "base/result.h"
#include "device/pool.h"
#include "dist/mesh.h"
#include "model/decoder.h"
#include "monitor/table.h"
#include "plan/memory_plan.h"
#include "spec/run_spec.h"
#include "tokens/token_stream.h"

namespace boreal::train {

// Set by a signal handler, read between steps.
enum class Stop : int { none, save_and_requeue, save_and_end, now };

struct TrainInput {
  std::vector<tokens::StreamSource> train;
  std::vector<tokens::StreamSource> validation;
  std::string tokenizer_json;  // copied into checkpoints; "" for synthetic data
  std::string tokenizer_fingerprint;
  std::string data_fingerprint;  // of all that train and validation read; a resume wants it equal
  std::int64_t end_of_text = -1;
  std::int64_t vocab = 0;
};

struct TrainOptions {
  std::string out;              // output folder, held by the caller's ledger
  std::string resume = "auto";  // auto, never, or the path of a checkpoint
  bool quiet = false;
  double peak_flops = 0;      // of all ranks and this dtype, for flop_utilisation; 0: unknown
  std::string resolved_yaml;  // of the spec, kept in checkpoints
  std::string spec_hash;
  const std::atomic<Stop>* stop = nullptr;
  double started_s = 0;  // when the program began, on the clock; for TrainSummary::ready_s
  std::int64_t profile_steps = 0;  // to record on rank 0 (step_recorder.h)
};

struct TrainSummary {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  std::int64_t first_step = 0;  // steps that were already done
  double loss = 0;
  double validation_loss = 0;  // not a number when there is nothing to validate on
  double wall_s = 0;
  double ready_s = 0;       // from the program's begin to the first step's
  double tokens_per_s = 0;  // median over the steps of this process
  double flop_utilisation = 0;
  std::int64_t parameters = 0;
  std::string checkpoint;  // folder of the last one
  dist::Traffic traffic;   // of this rank and process, checkpoints and validation included
  // Of this rank: what the plan says, and by how much the anonymous memory of the process grew over
  // what it was before (mapped files apart). Ranks that are threads of one process see the growth
  // of all together.
  std::int64_t planned_bytes = 0;
  std::int64_t grown_bytes = 0;
  monitor::Table profile;  // of rank 0, where steps were recorded
};

// Steps that the spec asks for: train.steps, or enough for train.tokens.
std::int64_t steps_of(const spec::RunSpec& spec);

// The stream's options that the spec decides: the one place where they are made.
tokens::StreamOptions stream_options(const spec::RunSpec& spec, const TrainInput& input,
                                     std::int64_t vocab);

// Kinds of error: usage (spec), refused (shards, checkpoint), failed (not finite, disk), try_again
// and interrupted (a signal; everything is saved).
Result<TrainSummary> train(Env& env, const Clock& clock, device::Pool& pool, dist::World& world,
                           const dist::DeviceMesh& mesh, const spec::RunSpec& spec,
                           const model::DecoderConfig& config, const TrainInput& input,
                           const TrainOptions& options);

// The step that a rank runs, as the plan sees it: its rows of a micro-batch.
plan::StepShape step_shape(const spec::RunSpec& spec, std::int64_t threads);

}  // namespace boreal::train
