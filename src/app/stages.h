// The stages of a run as the verbs use them: open the output folder, prep, train, evaluate. Each is
// skipped when the ledger says that it is finished with the same input. Thread rule: the thread of
// the rank.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/arguments.h"
#include "base/clock.h"
#include "base/env.h"
#include "device/pool.h"
#include "dist/mesh.h"
#include "dist/world.h"
#include "eval/harness.h"
#include "monitor/ledger.h"
#include "monitor/table.h"
#include "prep/prep.h"
#include "spec/reader.h"
#include "spec/validate.h"
#include "train/fitting.h"
#include "train/trainer.h"

namespace boreal::app {

struct Run {
  Env& env;
  const Clock& clock;
  dist::World& world;
  dist::DeviceMesh mesh;
  spec::RunSpec spec;
  std::string resolved;
  std::string hash;
  std::string out;
  bool quiet = false;
  double started_s = 0;         // on the clock
  std::int64_t ranks_here = 1;  // that share this machine; in an imagined world of threads, all
  std::unique_ptr<monitor::RunLedger> ledger;  // rank 0's
  std::unique_ptr<device::Pool> pool;
  train::Stop stop = train::Stop::none;  // asked for while the last step ran: training is finished
};

// The spec with what the line sets.
Result<spec::RunSpec> read_spec(const Arguments& args);
// What the mesh shares out, with the sizes that the spec leaves to the family.
Result<spec::MeshWork> mesh_work_of(const spec::RunSpec& spec);

struct Opening {
  bool ledger = true;     // makes the output folder and takes its lock; false: only reads
  bool imagined = false;  // a world of one looks at rank 0 of the spec's mesh, whatever its size
  bool meshed = true;     // false: any number of ranks will do, and the mesh is this rank alone
};
// Reads and checks the spec. On every rank, as all that follows.
Result<Run> open_run(const Arguments& args, dist::World& world, const Opening& how = {});

// The ledger's calls, made by rank 0 and heeded by all.
Status begin_stage(Run& run, std::string_view stage, std::string_view input_hash);
Status finish_stage(Run& run, std::string_view stage);
// As finish_stage; the attempt had nothing to do.
Status finish_done_stage(Run& run, std::string_view stage);
// What rank 0 finds, on every rank: files may show up on one host before they do on another.
bool decided(Run& run, bool yes);

// Prints to stderr, unless quiet.
void note(const Run& run, const std::string& line);

// What is wrong with the spec for training, before anything is made: no length, a sequence longer
// than the context.
Status check_training(const Run& run);
// Refused where OUT holds checkpoints that were trained on other input files than those there now.
Result<prep::PrepSummary> prep_stage(Run& run);
// The prompts of the spec as the model will read them, and the files of its tasks.
Status check_evaluation(const Run& run, const prep::PrepSummary& prep);
// What training needs from a finished prep; synthetic sources and finished shards need none.
Result<train::TrainInput> train_input(Run& run, const prep::PrepSummary& prep);
Result<model::DecoderConfig> model_config(const Run& run, const train::TrainInput& input);
// Of this rank; it refers to both.
train::Demand demand_of(const Run& run, const model::DecoderConfig& config);
// What the results of a stage after prep depend on.
std::string input_hash(const Run& run, const train::TrainInput& input);
Result<train::TrainSummary> train_stage(Run& run, const prep::PrepSummary& prep,
                                        const std::string& resume, std::int64_t profile_steps = 0);

struct EvalOutcome {
  eval::Evaluation evaluation;
  double perplexity = 0;  // not a number where there is nothing to validate on
  std::string model;
};
Result<EvalOutcome> eval_stage(Run& run, const prep::PrepSummary& prep, const std::string& model,
                               const std::vector<std::string>& tasks);

struct Completed {
  std::string prompt;
  std::string completion;
};
// Greedy completions of the prompts of the spec.
Result<std::vector<Completed>> sample_stage(Run& run, const std::string& model);

// The score table of an evaluation.
monitor::Table score_table(const eval::Evaluation& evaluation);

}  // namespace boreal::app
