// boreal prep, train, eval, plan: one stage of a run each.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/ranks.h"
#include "app/report.h"
#include "app/stages.h"
#include "device/machine.h"
#include "model/decoder.h"

namespace boreal::app {

namespace {

// NaN has no JSON.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

monitor::Table plan_table(const plan::MemoryPlan& plan, std::int64_t ranks) {
  monitor::Table table{
      .title = ranks > 1 ? fmt::format("Memory of training, of rank 0 of {}", ranks)
                         : "Memory of training",
      .columns = {{"class", "class"}, {"bytes", "bytes", monitor::NumberStyle::bytes}},
      .total_rows = 1};
  for (const auto& [name, bytes] : plan.classes()) table.rows.push_back({name, bytes});
  table.rows.push_back({std::string("total"), plan.total_bytes()});
  return table;
}

std::string gb(std::int64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) * 1e-9);
}

// What the machine has, and what would make it fit where it does not.
void print_fit(const Run& run, std::int64_t need_bytes, const device::Machine& machine,
               const std::vector<train::Change>& changes) {
  const std::int64_t ranks = run.mesh.layout().ranks();
  const std::string who =
      ranks == 1 ? "it"
                 : fmt::format("{} of the {} ranks, {},", run.ranks_here, ranks, gb(need_bytes));
  const bool fits = need_bytes <= machine.available_bytes;
  const bool one = ranks == 1;
  std::printf("this machine has %s, of which %s are free: %s %s\n",
              gb(machine.memory_bytes).c_str(), gb(machine.available_bytes).c_str(), who.c_str(),
              fits ? (one ? "fits" : "fit") : (one ? "does not fit" : "do not fit"));
  for (const train::Change& change : changes)
    std::printf("  with %s: %s, which %s\n", change.text.c_str(), gb(change.bytes).c_str(),
                change.bytes <= machine.available_bytes ? "fits" : "does not fit");
}

Status print_plan(const Arguments& args, const Run& run, const model::DecoderConfig& config) {
  const model::Decoder model(config);
  const train::Demand demand = demand_of(run, config);
  const plan::MemoryPlan plan = train::plan_of(demand);
  const std::int64_t steps = train::steps_of(run.spec);
  const std::int64_t tokens = steps * run.spec.train.batch_sequences * run.spec.data.sequence;
  const double flops = model.flops_per_token(run.spec.data.sequence);
  std::printf("%s\n", monitor::to_text(plan_table(plan, run.mesh.layout().ranks())).c_str());
  std::printf("parameters %ld, steps %ld, tokens %ld, %.3g FLOP a token, %.3g FLOP in all\n",
              static_cast<long>(model.parameter_count()), static_cast<long>(steps),
              static_cast<long>(tokens), flops, flops * static_cast<double>(tokens));
  if (plan.file_bytes > 0)
    std::printf("%s, moments of a rank: a file of %s\n", run.spec.train.optimizer_state.c_str(),
                gb(plan.file_bytes).c_str());
  const device::Machine machine = device::read_machine(run.env);
  const std::int64_t need = plan.total_bytes() * run.ranks_here;
  const bool fits = need <= machine.available_bytes;
  const auto changes =
      fits ? std::vector<train::Change>() : train::smaller(demand, machine.available_bytes);
  print_fit(run, need, machine, changes);
  nlohmann::ordered_json json{{"parameters", model.parameter_count()},
                              {"steps", steps},
                              {"total_bytes", plan.total_bytes()},
                              {"file_bytes", plan.file_bytes},
                              {"ranks_here", run.ranks_here},
                              {"machine_bytes", machine.memory_bytes},
                              {"available_bytes", machine.available_bytes},
                              {"fits", fits}};
  for (const auto& [name, bytes] : plan.classes()) json["bytes"][name] = bytes;
  json["smaller"] = nlohmann::ordered_json::array();
  for (const train::Change& change : changes)
    json["smaller"].push_back({{"change", change.text}, {"bytes", change.bytes}});
  print_figures(args, json);
  return Done{};
}

}  // namespace

namespace {

// What the ranks said to one another, a step: of rank 0, the others say as much.
monitor::Table traffic_table(const train::TrainSummary& summary) {
  const auto steps =
      static_cast<double>(std::max<std::int64_t>(summary.steps - summary.first_step, 1));
  monitor::Table table{
      .title = "Between the ranks, a step",
      .columns = {{"axis", "axis"},
                  {"operation", "operation"},
                  {"calls", "calls", monitor::NumberStyle::plain, 1},
                  {"sent_bytes", "sent", monitor::NumberStyle::bytes},
                  {"busy_ms", "busy, ms", monitor::NumberStyle::plain, 2},
                  {"waited_ms", "waited for, ms", monitor::NumberStyle::plain, 2}}};
  for (const dist::TrafficRow& row : summary.traffic)
    table.rows.push_back({row.axis, row.operation, static_cast<double>(row.calls) / steps,
                          static_cast<std::int64_t>(static_cast<double>(row.sent_bytes) / steps),
                          row.busy_s / steps * 1e3, row.waited_s / steps * 1e3});
  return table;
}

nlohmann::ordered_json traffic_json(const dist::Traffic& traffic) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const dist::TrafficRow& row : traffic)
    rows.push_back({{"axis", row.axis},
                    {"operation", row.operation},
                    {"calls", row.calls},
                    {"messages", row.messages},
                    {"sent_bytes", row.sent_bytes},
                    {"busy_s", row.busy_s},
                    {"waited_s", row.waited_s}});
  return rows;
}

// A number of every rank, in rank order.
std::vector<std::int64_t> of_all_ranks(const Run& run, std::int64_t mine) {
  std::vector<std::int64_t> all;
  for (const std::string& text : run.world.all().gather_texts(std::to_string(mine)))
    all.push_back(std::stoll(text));
  return all;
}

Status prep_verb(const Arguments& args, Run& run) {
  ASSIGN_OR_RETURN(const prep::PrepSummary prep, prep_stage(run));
  if (!run.world.is_main()) return Done{};
  monitor::Table table{.title = "Sources",
                       .columns = {{"source", "source"},
                                   {"bundle", "bundle"},
                                   {"read", "read", monitor::NumberStyle::count},
                                   {"facts_trained", "facts trained", monitor::NumberStyle::count},
                                   {"documents", "documents trained", monitor::NumberStyle::count},
                                   {"tokens", "tokens trained", monitor::NumberStyle::count},
                                   {"dropped", "dropped"}}};
  for (const prep::SourceSummary& s : prep.sources) {
    std::string dropped;
    for (const auto& [reason, what] : s.dropped)
      dropped += fmt::format("{}{} {}", dropped.empty() ? "" : ", ", what.count, reason);
    table.rows.push_back(
        {s.name, s.bundle, s.read, s.facts_trained, s.documents_train, s.tokens_train, dropped});
  }
  std::printf("%s\n", monitor::to_text(table).c_str());
  print_figures(args, {{"tables", prep.tables},
                       {"records", prep.records},
                       {"documents", training_documents(prep)},
                       {"tokens", prep.tokens},
                       {"vocab", prep.vocab},
                       {"facts_trained", prep.facts_trained}});
  return Done{};
}

Status train_verb(const Arguments& args, Run& run) {
  RETURN_IF_ERROR(check_training(run));
  ASSIGN_OR_RETURN(const prep::PrepSummary prep, prep_stage(run));
  if (args.dry_run) {
    ASSIGN_OR_RETURN(const train::TrainInput input, train_input(run, prep));
    ASSIGN_OR_RETURN(const model::DecoderConfig config, model_config(run, input));
    return run.world.is_main() ? print_plan(args, run, config) : Done{};
  }
  ASSIGN_OR_RETURN(const train::TrainSummary summary,
                   train_stage(run, prep, args.resume, args.profile_steps));
  const auto planned = of_all_ranks(run, summary.planned_bytes);
  const auto grown = of_all_ranks(run, summary.grown_bytes);
  if (!run.world.is_main()) return Done{};
  if (run.world.size() > 1) std::printf("%s\n", monitor::to_text(traffic_table(summary)).c_str());
  if (!summary.profile.columns.empty())
    std::printf("%s\n", monitor::to_text(summary.profile).c_str());
  const std::string validation =
      std::isnan(summary.validation_loss)
          ? ""
          : fmt::format("validation loss {:.6f}, ", summary.validation_loss);
  std::printf("steps %ld, tokens %ld, loss %.6f, %s%.0f tokens/s, checkpoint %s\n",
              static_cast<long>(summary.steps), static_cast<long>(summary.tokens), summary.loss,
              validation.c_str(), summary.tokens_per_s, summary.checkpoint.c_str());
  print_figures(args, {{"steps", summary.steps},
                       {"tokens", summary.tokens},
                       {"loss", number(summary.loss)},
                       {"validation_loss", number(summary.validation_loss)},
                       {"wall_s", summary.wall_s},
                       {"ready_s", summary.ready_s},
                       {"tokens_per_s", summary.tokens_per_s},
                       {"flop_utilisation", summary.flop_utilisation},
                       {"parameters", summary.parameters},
                       {"first_step", summary.first_step},
                       {"checkpoint", summary.checkpoint},
                       {"peak_rss_bytes", run.ledger->peak_rss_bytes()},
                       {"planned_bytes", planned},
                       {"grown_bytes", grown},
                       {"traffic", traffic_json(summary.traffic)}});
  return Done{};
}

Status eval_verb(const Arguments& args, Run& run) {
  ASSIGN_OR_RETURN(const prep::PrepSummary prep, prep_stage(run));
  ASSIGN_OR_RETURN(const EvalOutcome outcome, eval_stage(run, prep, args.model, args.tasks));
  if (!run.world.is_main()) return Done{};
  std::printf("%s\n", monitor::to_text(score_table(outcome.evaluation)).c_str());
  if (std::isfinite(outcome.perplexity))
    std::printf("perplexity on validation records: %.4f\n", outcome.perplexity);
  print_figures(args, nlohmann::ordered_json::parse(eval::results_json(
                          outcome.evaluation, outcome.perplexity, outcome.model)));
  return Done{};
}

}  // namespace

Status run_prep(const Arguments& args) {
  return on_ranks_of_spec(args, [&](Run& run) { return prep_verb(args, run); }, {.meshed = false});
}

Status run_train(const Arguments& args) {
  if (args.resume != "auto" && args.resume != "never" && !Env::real().exists(args.resume))
    return wrong_usage("--resume: \"{}\" is neither auto nor never, nor a checkpoint's folder",
                       args.resume);
  if (args.dry_run) {
    dist::World alone;
    ASSIGN_OR_RETURN(Run run, open_run(args, alone, {.imagined = true}));
    return train_verb(args, run);
  }
  return on_ranks_of_spec(args, [&](Run& run) { return train_verb(args, run); });
}

Status run_eval(const Arguments& args) {
  if (args.spec.empty()) return run_eval_of_model(args);
  return on_ranks_of_spec(args, [&](Run& run) { return eval_verb(args, run); });
}

Status run_plan(const Arguments& args) {
  dist::World alone;
  ASSIGN_OR_RETURN(Run run, open_run(args, alone, {.ledger = false, .imagined = true}));
  RETURN_IF_ERROR(check_training(run));
  if (run.spec.model.vocab == 0) run.spec.model.vocab = run.spec.tokenizer.vocab;
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model_config(run, {}));
  return print_plan(args, run, config);
}

}  // namespace boreal::app
