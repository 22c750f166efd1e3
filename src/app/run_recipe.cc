// boreal run SPEC: prep, train, eval, samples, report; finished stages are skipped.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "app/ranks.h"
#include "app/report.h"
#include "app/shell_quotes.h"
#include "app/stages.h"
#include "eval/item.h"
#include "monitor/metrics.h"

namespace boreal::app {

namespace {

double stage_time(const Run& run, std::string_view name) {
  for (const monitor::StageRecord& stage : run.ledger->stages())
    if (stage.name == name) return stage.wall_s;
  return 0;
}

nlohmann::ordered_json figures(const Run& run, const Story& story, double wall_s,
                               const std::string& report) {
  nlohmann::ordered_json json{{"wall_s", wall_s},
                              {"train_s", stage_time(run, "train")},
                              {"peak_rss_bytes", story.peak_rss_bytes},
                              {"tables", story.prep.tables},
                              {"records", story.prep.records},
                              {"documents", training_documents(story.prep)},
                              {"tokens", story.prep.tokens},
                              {"facts_trained", story.prep.facts_trained}};
  for (const eval::Score& s : story.eval.evaluation.scores) {
    if (s.bundle != "all") continue;
    if (s.task == "choice") {
      json["choice_accuracy"] = s.value;
      json["choice_chance"] = s.chance;
    } else {
      json[s.task] = s.value;
    }
  }
  if (std::isfinite(story.eval.perplexity)) json["validation_perplexity"] = story.eval.perplexity;
  json["report"] = report;
  return json;
}

// Training is finished when the ledger says so and its last checkpoint is there.
bool train_done(const Run& run, const train::TrainInput& input) {
  return run.ledger->is_done("train", input_hash(run, input)) &&
         run.env.exists(
             join_path(run.out, fmt::format("checkpoints/step-{}", train::steps_of(run.spec))));
}

// Something that this model was trained to complete.
std::string prompt_to_try(const Run& run) {
  if (!run.spec.eval.prompts.empty()) return run.spec.eval.prompts.front();
  const auto items = eval::read_items(run.env, join_path(run.out, "eval/recall_seen.jsonl"), 0);
  return items.ok() ? items->front().prompt : "YOUR TEXT";
}

void print_summary(const Story& story, const std::string& report) {
  monitor::Table table = score_table(story.eval.evaluation);
  std::printf("\n%s\n", monitor::to_text(table).c_str());
  if (std::isfinite(story.eval.perplexity))
    std::printf("perplexity on validation records: %.3f\n", story.eval.perplexity);
  for (const Completed& c : story.samples)
    std::printf("  %s|%s\n", c.prompt.c_str(), c.completion.c_str());
  std::printf("\nreport:          %s\nask it yourself: %s\n", report.c_str(),
              story.generate_command.c_str());
}

// The report and the summary; rank 0's.
Status tell(const Arguments& args, const Run& run, Story& story, double start_s) {
  story.peak_rss_bytes = run.ledger->peak_rss_bytes();
  story.generate_command =
      fmt::format("./run generate --model {} --prompt {}", in_shell_quotes(story.eval.model),
                  in_shell_quotes(prompt_to_try(run)));
  ASSIGN_OR_RETURN(const std::string report, write_report(run, story));
  print_summary(story, report);
  print_figures(args, figures(run, story, run.clock.now_s() - start_s, report));
  return Done{};
}

Status recipe_verb(const Arguments& args, Run& run) {
  RETURN_IF_ERROR(check_training(run));
  const double start_s = run.clock.now_s();
  Story story;
  ASSIGN_OR_RETURN(story.prep, prep_stage(run));
  note(run, fmt::format("prep: {} tables, {} records, {} documents, {} tokens to train on{}",
                        story.prep.tables, story.prep.records, training_documents(story.prep),
                        story.prep.tokens, story.prep.skipped ? " (was finished)" : ""));
  RETURN_IF_ERROR(check_evaluation(run, story.prep));
  ASSIGN_OR_RETURN(const train::TrainInput input, train_input(run, story.prep));
  if (decided(run, run.ledger != nullptr && train_done(run, input))) {
    note(run, "train: was finished");
  } else {
    RETURN_IF_ERROR(train_stage(run, story.prep, "auto"));
    if (decided(run, run.stop != train::Stop::none))
      return Error{"stopped after training; the same command goes on with the evaluation",
                   run.stop == train::Stop::save_and_requeue ? ErrorKind::try_again
                                                             : ErrorKind::interrupted};
  }
  ASSIGN_OR_RETURN(story.eval, eval_stage(run, story.prep, "", {}));
  const bool sampled =
      decided(run, run.ledger != nullptr && run.ledger->is_done("samples", input_hash(run, input)));
  RETURN_IF_ERROR(begin_stage(run, "samples", input_hash(run, input)));
  ASSIGN_OR_RETURN(story.samples, sample_stage(run, ""));
  RETURN_IF_ERROR(sampled ? finish_done_stage(run, "samples") : finish_stage(run, "samples"));
  return run.world.is_main() ? tell(args, run, story, start_s) : Done{};
}

}  // namespace

Status run_recipe(const Arguments& args) {
  return on_ranks_of_spec(args, [&](Run& run) { return recipe_verb(args, run); });
}

}  // namespace boreal::app
