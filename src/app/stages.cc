#include "app/stages.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "app/eval_tasks.h"
#include "app/places.h"
#include "app/signals.h"
#include "base/hash.h"
#include "ckpt/folder.h"
#include "device/machine.h"
#include "infer/session.h"
#include "kernels/machine_peak.h"
#include "model/family.h"
#include "monitor/progress.h"
#include "train/trainer.h"

namespace boreal::app {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The last checkpoint of the run, or the newest of one that was stopped.
Result<std::string> newest_checkpoint(const Run& run) {
  const std::string root = join_path(run.out, "checkpoints");
  const std::string last = join_path(root, fmt::format("step-{}", train::steps_of(run.spec)));
  if (run.env.exists(last)) return last;
  ASSIGN_OR_RETURN(const ckpt::Newest newest, ckpt::newest_whole(run.env, root));
  for (const std::string& warning : newest.warnings)
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  if (newest.dir.empty()) return refused("{}: no checkpoint is there yet; train first", root);
  note(run, "the model is " + newest.dir);
  return newest.dir;
}

// The folder that `model` stands for; "": the run's own.
Result<std::string> model_to_use(const Run& run, const std::string& model) {
  return found_by_main(run.world, [&] {
    return model.empty() ? newest_checkpoint(run) : find_model(run.env, model, run.quiet);
  });
}

// A path of the spec as prep looks for it: under data.root, else from the working folder.
std::string input_path(const Run& run, const std::string& path, const std::string& ending = {}) {
  const std::string under_root = join_path(run.spec.data.root, path);
  return run.env.exists(under_root + ending) ? under_root : path;
}

// The tokenizer that the shards were written with: prep's, or the one that the spec names beside
// finished shards.
Status add_tokenizer(const Run& run, const prep::PrepSummary& prep, train::TrainInput& input) {
  const bool of_prep = !prep.tokenizer_fingerprint.empty();
  if (!of_prep && run.spec.data.tokenizer == "train") return Done{};
  const std::string path = of_prep ? join_path(run.out, "tokenizer/tokenizer.json")
                                   : input_path(run, run.spec.data.tokenizer);
  ASSIGN_OR_RETURN(input.tokenizer_json, run.env.read_file(path));
  ASSIGN_OR_RETURN(const auto tokenizer, text::Tokenizer::parse(input.tokenizer_json, path));
  if (of_prep && tokenizer.fingerprint() != prep.tokenizer_fingerprint)
    return refused(
        "{}: fingerprint {}, but the shards were written with {}; was the file replaced?", path,
        tokenizer.fingerprint(), prep.tokenizer_fingerprint);
  input.tokenizer_fingerprint = tokenizer.fingerprint();
  input.vocab = tokenizer.vocab_size();
  if (const auto end = tokenizer.end_of_text()) input.end_of_text = *end;
  return Done{};
}

// The checkpoints of a folder stand for its data: prep must not replace what they were trained on.
Status check_unchanged(const Run& run) {
  const std::string root = join_path(run.out, "checkpoints");
  ASSIGN_OR_RETURN(const auto checkpoints, ckpt::list(run.env, root));
  if (checkpoints.empty()) return Done{};
  ASSIGN_OR_RETURN(const auto changes, prep::changed_inputs(run.env, run.spec, run.out));
  if (changes.empty()) return Done{};
  return refused(
      "{}: {} was trained on other input files: {}{}; give another --out, or remove {} to begin "
      "again",
      run.out, checkpoints.front().dir, changes.front(),
      changes.size() > 1 ? fmt::format(" (and {} more)", changes.size() - 1) : "", root);
}

// Hash of what is read of a shard: its own record of its files' hashes, or its index.
Status describe(Env& env, const tokens::StreamSource& source, std::string& described) {
  described += source.name + "\n";
  if (source.prefix.empty()) {
    described += fmt::format("synthetic {}\n", source.synthetic_vocab);
    return Done{};
  }
  const std::string record = source.prefix + ".meta.json";
  ASSIGN_OR_RETURN(const auto mapped,
                   env.map_file(env.exists(record) ? record : source.prefix + ".idx"));
  described += xxh3_128_hex(mapped->bytes()) + "\n";
  return Done{};
}

}  // namespace

void note(const Run& run, const std::string& line) {
  if (!run.quiet) std::fprintf(stderr, "%s\n", line.c_str());
}

Status check_training(const Run& run) {
  if (train::steps_of(run.spec) <= 0)
    return wrong_usage("train: give train.steps or train.tokens; both are 0");
  if (run.spec.data.sequence > run.spec.model.context)
    return wrong_usage("data.sequence {} is longer than model.context {}", run.spec.data.sequence,
                       run.spec.model.context);
  return Done{};
}

Status check_evaluation(const Run& run, const prep::PrepSummary& prep) {
  const std::vector<std::string>& prompts = run.spec.eval.prompts;
  for (const std::string& task : run.spec.eval.tasks) {
    if (task == "perplexity" || prep.eval_items.contains(task)) continue;
    if (!task.ends_with(".jsonl")) {
      std::string made = "perplexity";
      for (const auto& [name, count] : prep.eval_items) made += ", " + name;
      return refused("eval.tasks: prep made no items of {} from these sources; there are {}", task,
                     made);
    }
    if (!run.env.exists(task)) return refused("eval.tasks: {}: there is no such file", task);
  }
  if (prompts.empty()) return Done{};
  train::TrainInput input;
  RETURN_IF_ERROR(add_tokenizer(run, prep, input));
  if (input.tokenizer_json.empty())
    return wrong_usage(
        "eval.prompts: \"{}\": the sources come without a tokenizer, so the model "
        "cannot be asked in words",
        prompts.front());
  ASSIGN_OR_RETURN(const auto tokenizer,
                   text::Tokenizer::parse(input.tokenizer_json, "the run's tokenizer.json"));
  for (const std::string& prompt : prompts) {
    const auto count = static_cast<std::int64_t>(tokenizer.encode(prompt).size());
    if (count < 1 || count >= run.spec.model.context)
      return wrong_usage("eval.prompts: \"{}\" has {} tokens; the model takes 1 to {}", prompt,
                         count, run.spec.model.context - 1);
  }
  return Done{};
}

Result<prep::PrepSummary> prep_stage(Run& run) {
  RETURN_IF_ERROR(run.world.all().agree(check_unchanged(run)));
  RETURN_IF_ERROR(begin_stage(run, "prep", run.hash));
  monitor::Progress progress(run.clock, monitor::stderr_progress("prep", run.quiet));
  const auto show = [&](const prep::Progress& at) {
    progress.update(at.done, [&] {
      return std::vector<monitor::ProgressField>{{"stage", at.stage}, {"source", at.source}};
    });
  };
  Result<prep::PrepSummary> summary = prep::run(
      run.env, run.spec, run.out, show, {.rank = run.world.rank(), .ranks = run.world.size()});
  RETURN_IF_ERROR(run.world.all().agree(summary.ok() ? Status(Done{}) : summary.error()));
  progress.finish();
  RETURN_IF_ERROR(decided(run, summary->skipped) ? finish_done_stage(run, "prep")
                                                 : finish_stage(run, "prep"));
  return summary;
}

Result<train::TrainInput> train_input(Run& run, const prep::PrepSummary& prep) {
  train::TrainInput input;
  input.vocab = prep.vocab;
  RETURN_IF_ERROR(add_tokenizer(run, prep, input));
  CHECK_EQ(prep.sources.size(), run.spec.data.sources.size());
  for (std::size_t i = 0; i < prep.sources.size(); ++i) {
    const prep::SourceSummary& source = prep.sources[i];
    const spec::SourceSpec& asked = run.spec.data.sources[i];
    tokens::StreamSource stream{
        .name = source.name, .prefix = source.train_prefix, .weight = asked.weight};
    if (asked.synthetic) {
      stream.synthetic_vocab = run.spec.model.vocab;
    } else if (!asked.shards.empty()) {
      stream.prefix = input_path(run, asked.shards, ".idx");
      if (!run.env.exists(stream.prefix + ".idx"))
        return refused("data.sources.{}.shards: there is no {}.idx, neither here nor in {}", i,
                       stream.prefix, run.spec.data.root);
    } else {
      if (source.train_prefix.empty())
        return refused("source {}: no training documents", source.name);
      stream.prefix = join_path(run.out, source.train_prefix);
    }
    if (run.spec.data.blend == "tokens" && source.tokens_train > 0)
      stream.weight *= static_cast<double>(source.tokens_train);
    input.train.push_back(stream);
    if (!source.valid_prefix.empty())
      input.validation.push_back(
          {.name = source.name, .prefix = join_path(run.out, source.valid_prefix), .weight = 1});
  }
  std::string described;
  for (const auto* sources : {&input.train, &input.validation})
    for (const tokens::StreamSource& source : *sources)
      RETURN_IF_ERROR(describe(run.env, source, described));
  input.data_fingerprint = xxh3_128_hex(described);
  return input;
}

std::string input_hash(const Run& run, const train::TrainInput& input) {
  return run.hash + " " + input.data_fingerprint;
}

train::Demand demand_of(const Run& run, const model::DecoderConfig& config) {
  // An imagined rank gets its share of the threads that are here.
  const std::int64_t others = run.ranks_here / run.world.local_size();
  return {.spec = run.spec,
          .config = config,
          .mesh = run.mesh,
          .threads = std::max<std::int64_t>(1, run.pool->threads() / others),
          .ranks_here = run.ranks_here};
}

Result<model::DecoderConfig> model_config(const Run& run, const train::TrainInput& input) {
  return model::config_of(run.spec.model, input.vocab);
}

Result<train::TrainSummary> train_stage(Run& run, const prep::PrepSummary& prep,
                                        const std::string& resume, std::int64_t profile_steps) {
  ASSIGN_OR_RETURN(const train::TrainInput input, train_input(run, prep));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model_config(run, input));
  // Better before the first step than killed in the middle.
  RETURN_IF_ERROR(run.world.all().agree(
      train::check_fits(demand_of(run, config), device::read_machine(run.env))));
  RETURN_IF_ERROR(begin_stage(run, "train", input_hash(run, input)));
  const kernels::MachinePeak peak = kernels::measure_flops(device::cpu_context(*run.pool), 0.2);
  // Signals reach a process: of ranks that are threads one listens for all.
  std::optional<StopSignals> signals;
  if (run.world.is_main() || run.world.kind() != "threads") signals.emplace();
  const std::atomic<train::Stop>* flag = signals.has_value() ? signals->flag() : nullptr;
  const train::TrainOptions options{
      .out = run.out,
      .resume = resume,
      .quiet = run.quiet,
      .peak_flops =
          run.world.all().sum(config.dtype == DType::f32 ? peak.f32_flops : peak.bf16_flops),
      .resolved_yaml = run.resolved,
      .spec_hash = run.hash,
      .stop = flag,
      .started_s = run.started_s,
      .profile_steps = profile_steps};
  ASSIGN_OR_RETURN(const auto summary, train::train(run.env, run.clock, *run.pool, run.world,
                                                    run.mesh, run.spec, config, input, options));
  RETURN_IF_ERROR(summary.first_step >= summary.steps ? finish_done_stage(run, "train")
                                                      : finish_stage(run, "train"));
  run.stop = flag != nullptr ? flag->load() : train::Stop::none;
  return summary;
}

Result<EvalOutcome> eval_stage(Run& run, const prep::PrepSummary& prep, const std::string& model,
                               const std::vector<std::string>& tasks) {
  ASSIGN_OR_RETURN(const train::TrainInput input, train_input(run, prep));
  RETURN_IF_ERROR(begin_stage(run, "eval", input_hash(run, input)));
  ASSIGN_OR_RETURN(const std::string folder, model_to_use(run, model));
  ASSIGN_OR_RETURN(infer::Session session,
                   infer::open_session(run.env, *run.pool, folder, run.mesh.tp()));
  const std::int64_t context = session.model->config().context;
  const infer::EngineLimits limits{
      .sequences = 8, .capacity = context, .rows = std::max<std::int64_t>(512, context)};
  infer::Engine engine(*session.model, *session.weights, session.ctx, limits);

  EvalOutcome outcome{.evaluation = {}, .perplexity = kNan, .model = folder};
  std::vector<std::string> names = tasks.empty() ? run.spec.eval.tasks : tasks;
  if (names.empty())
    for (const auto& [task, count] : prep.eval_items)
      if (count > 0) names.push_back(task);
  ASSIGN_OR_RETURN(const std::vector<eval::Item> items,
                   read_tasks(run.env, names, run.out, run.spec.eval.max_items));
  if (!items.empty()) {
    ASSIGN_OR_RETURN(const text::Tokenizer* tokenizer, session.need_tokenizer());
    monitor::ProgressOptions look = monitor::stderr_progress("eval", run.quiet);
    look.unit = "item";
    look.total = static_cast<std::int64_t>(items.size());
    monitor::Progress progress(run.clock, look);
    ASSIGN_OR_RETURN(
        outcome.evaluation,
        eval::evaluate(
            engine, limits, *tokenizer, items,
            [&](std::int64_t done, std::int64_t) { progress.update(done); }, run.mesh.dp()));
    progress.finish();
  }
  std::vector<tokens::Batch> batches;
  for (const tokens::StreamSource& source : input.validation) {
    ASSIGN_OR_RETURN(auto more,
                     tokens::validation_batches(
                         run.env, source,
                         train::stream_options(run.spec, input, session.model->config().vocab), 8));
    std::ranges::move(more, std::back_inserter(batches));
  }
  if (!batches.empty())
    outcome.perplexity = std::exp(eval::mean_loss(engine, batches, run.mesh.dp()));
  RETURN_IF_ERROR(run.world.all().agree(
      run.world.is_main()
          ? eval::write_results(run.env, run.out, outcome.evaluation, outcome.perplexity, folder)
          : Done{}));
  RETURN_IF_ERROR(finish_stage(run, "eval"));
  return outcome;
}

Result<std::vector<Completed>> sample_stage(Run& run, const std::string& model) {
  std::vector<Completed> all;
  if (run.spec.eval.prompts.empty()) return all;
  ASSIGN_OR_RETURN(const std::string folder, model_to_use(run, model));
  ASSIGN_OR_RETURN(infer::Session session,
                   infer::open_session(run.env, *run.pool, folder, run.mesh.tp()));
  ASSIGN_OR_RETURN(const text::Tokenizer* tokenizer, session.need_tokenizer());
  const std::int64_t context = session.model->config().context;
  infer::Engine engine(
      *session.model, *session.weights, session.ctx,
      {.sequences = 8, .capacity = context, .rows = std::max<std::int64_t>(64, context)});
  std::vector<infer::Request> requests;
  for (const std::string& prompt : run.spec.eval.prompts) {
    infer::Request request{.prompt = tokenizer->encode(prompt), .max_tokens = 48};
    if (const auto end = tokenizer->end_of_text()) request.stop = {*end};
    if (request.prompt.empty() || static_cast<std::int64_t>(request.prompt.size()) >= context)
      return wrong_usage("eval.prompts: \"{}\" has {} tokens; the model takes 1 to {}", prompt,
                         request.prompt.size(), context - 1);
    requests.push_back(std::move(request));
  }
  const auto completions = engine.generate(requests);
  for (std::size_t i = 0; i < completions.size(); ++i) {
    std::vector<text::TokenId> ids = completions[i].tokens;
    if (completions[i].stopped) ids.pop_back();
    all.push_back({run.spec.eval.prompts[i], tokenizer->decode(ids)});
  }
  return all;
}

monitor::Table score_table(const eval::Evaluation& evaluation) {
  monitor::Table table{.title = "Scores",
                       .columns = {{"task", "task"},
                                   {"bundle", "bundle"},
                                   {"items", "items", monitor::NumberStyle::count},
                                   {"value", "right, %", monitor::NumberStyle::percent, 1},
                                   {"chance", "chance, %", monitor::NumberStyle::percent, 1}}};
  for (const eval::Score& s : evaluation.scores)
    table.rows.push_back({s.task, s.bundle, s.items,
                          monitor::Measured{s.value, s.standard_error, s.chance}, s.chance});
  return table;
}

}  // namespace boreal::app
