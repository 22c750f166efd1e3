#include "app/report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "monitor/metrics.h"
#include "monitor/report.h"

namespace boreal::app {

namespace {

using monitor::Measured;
using monitor::NumberStyle;

struct TaskText {
  const char* task;
  const char* title;
  const char* phrasing;  // of its prompts, "" = all kinds
};
constexpr TaskText kTasks[] = {
    {"recall_seen", "Recall, trained phrasing", "a phrasing that was trained"},
    {"recall_heldout", "Recall, held-out phrasing", "a phrasing held out for this property"},
    {"recall_style", "Recall, new style", "a style that is never trained"},
    {"choice", "Four-way choice", ""}};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

const eval::Score* find(const eval::Evaluation& evaluation, std::string_view task,
                        std::string_view bundle) {
  for (const eval::Score& s : evaluation.scores)
    if (s.task == task && s.bundle == bundle) return &s;
  return nullptr;
}

void add_key_figures(monitor::Report& report, const Story& story,
                     const std::vector<monitor::StepMetrics>& metrics) {
  std::vector<monitor::Figure> figures;
  for (const TaskText& t : kTasks)
    if (const eval::Score* s = find(story.eval.evaluation, t.task, "all"))
      figures.push_back(
          {t.title, fmt::format("{:.1f}", s->value * 100), "%",
           fmt::format("± {:.1f}, chance {:.1f} %", s->standard_error * 100, s->chance * 100)});
  if (std::isfinite(story.eval.perplexity))
    figures.push_back({"Perplexity, validation records",
                       fmt::format("{:.2f}", story.eval.perplexity), "",
                       "records that were never trained"});
  if (!metrics.empty()) {
    figures.push_back(
        {"Steps", fmt::format("{}", metrics.back().step), "",
         fmt::format("{:.1f} M tokens", static_cast<double>(metrics.back().tokens) * 1e-6)});
    std::vector<double> rates;
    std::vector<double> shares;
    for (const auto& row : metrics) {
      rates.push_back(row.tokens_per_s);
      shares.push_back(row.flop_utilisation);
    }
    figures.push_back(
        {"Speed", fmt::format("{:.0f}", median(rates)), "tokens/s",
         fmt::format("{:.0f} % of the machine's peak; medians", median(shares) * 100)});
  }
  figures.push_back({"Peak memory",
                     fmt::format("{:.0f}", static_cast<double>(story.peak_rss_bytes) * 1e-6), "MB",
                     "of the largest stage"});
  report.add_figures(figures);
}

std::string joined(const std::set<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

void add_corpus(monitor::Report& report, const prep::PrepSummary& prep) {
  struct Sum {
    std::int64_t tables = 0, records = 0, facts = 0, trained = 0, documents = 0, tokens = 0;
    std::set<std::string> licences = {};
  };
  std::map<std::string, Sum> bundles;
  Sum all;
  for (const prep::SourceSummary& s : prep.sources)
    for (Sum* sum : {&bundles[s.bundle.empty() ? s.name : s.bundle], &all}) {
      sum->tables += s.kind == "table" ? 1 : 0;
      sum->records += s.records;
      sum->facts += s.facts;
      sum->trained += s.facts_trained;
      sum->documents += s.documents_train;
      sum->tokens += s.tokens_train;
      if (!s.licence.empty()) sum->licences.insert(s.licence);
    }
  monitor::Table table{.title = "Corpus by bundle",
                       .columns = {{"bundle", "bundle"},
                                   {"tables", "tables", NumberStyle::count},
                                   {"records", "records", NumberStyle::count},
                                   {"facts", "facts", NumberStyle::count},
                                   {"trained", "facts trained", NumberStyle::count},
                                   {"documents", "documents trained", NumberStyle::count},
                                   {"tokens", "tokens trained", NumberStyle::count},
                                   {"licences", "licence"}},
                       .total_rows = 1};
  const auto add = [&](const std::string& name, const Sum& s) {
    table.rows.push_back(
        {name, s.tables, s.records, s.facts, s.trained, s.documents, s.tokens, joined(s.licences)});
  };
  for (const auto& [name, sum] : bundles) add(name, sum);
  add("all", all);
  report.add_table(table);
}

void add_dropped(monitor::Report& report, const prep::PrepSummary& prep) {
  monitor::Table table{.title = "Left out, and why",
                       .columns = {{"source", "source"},
                                   {"reason", "reason"},
                                   {"count", "count", NumberStyle::count},
                                   {"example", "the first"}}};
  for (const prep::SourceSummary& s : prep.sources)
    for (const auto& [reason, what] : s.dropped)
      table.rows.push_back(
          {s.name, reason, what.count, what.examples.empty() ? "" : what.examples.front()});
  if (table.rows.empty())
    report.add_text("Nothing that was read was left out.");
  else
    report.add_table(table);
}

void add_training(monitor::Report& report, const std::vector<monitor::StepMetrics>& metrics) {
  monitor::LineChart loss{
      .title = "Loss", .x_label = "step", .y_label = "nats a token", .log_y = true};
  monitor::Series train{.name = "training", .smooth = true};
  monitor::Series valid{.name = "validation", .markers = true};
  monitor::LineChart rate{.title = "Learning rate",
                          .x_label = "step",
                          .y_label = "",
                          .y_from_zero = true,
                          .height_px = 200};
  monitor::Series lr{.name = "learning rate"};
  for (const auto& row : metrics) {
    const auto x = static_cast<double>(row.step);
    train.points.push_back({x, row.loss});
    lr.points.push_back({x, row.lr});
    if (row.validation_loss.has_value() && std::isfinite(*row.validation_loss))
      valid.points.push_back({x, *row.validation_loss});
  }
  loss.caption =
      "Training loss counts only the tokens that the cards mark (values, by default); validation "
      "is on records held "
      "out whole, whose values nobody could know.";
  loss.series.push_back(std::move(train));
  if (!valid.points.empty()) loss.series.push_back(std::move(valid));
  rate.series.push_back(std::move(lr));
  report.add_line_chart(loss);
  report.add_line_chart(rate);
}

void add_scores(monitor::Report& report, const eval::Evaluation& evaluation) {
  monitor::BarChart chart{.title = "Share right, by bundle",
                          .value_label = "%",
                          .caption =
                              "Whiskers span 95 % intervals; marks show chance: the commonest "
                              "value of a property, or one in four."};
  for (const eval::Score& s : evaluation.scores)
    if (std::ranges::find(chart.categories, s.bundle) == chart.categories.end())
      chart.categories.push_back(s.bundle);
  for (const TaskText& t : kTasks) {
    monitor::BarSeries series{.name = t.title};
    for (const std::string& bundle : chart.categories) {
      const eval::Score* s = find(evaluation, t.task, bundle);
      if (s == nullptr)
        series.bars.emplace_back();
      else
        series.bars.emplace_back(Measured{s->value, s->standard_error, s->chance});
    }
    if (find(evaluation, t.task, "all") != nullptr) chart.series.push_back(std::move(series));
  }
  if (!chart.series.empty()) report.add_bar_chart(chart);
  monitor::Table table = score_table(evaluation);
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    for (const TaskText& t : kTasks)
      if (const eval::Score& s = evaluation.scores[i]; s.task == t.task)
        table.rows[i][0] = s.bundle == "all" ? fmt::format("{} ({})", t.title, t.task) : t.title;
  report.add_table(table);
}

// Right and wrong answers from every task, spread over the items.
std::vector<monitor::Sample> picked_answers(const eval::Evaluation& evaluation) {
  std::vector<monitor::Sample> samples;
  for (const TaskText& t : kTasks)
    for (const std::size_t i : eval::shown_answers(evaluation.answers, t.task)) {
      const eval::Answer& a = evaluation.answers[i];
      samples.push_back({a.item.prompt, a.given + (a.cut ? "…" : ""), a.item.answer, a.right,
                         fmt::format("{}, {}", t.title, a.item.bundle)});
    }
  return samples;
}

// A full stop that a statement ends with is no part of what it says.
std::string without_stop(std::string text) {
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = std::min(text.find_first_not_of(" \n"), text.size());
  return text.substr(first, text.find_last_not_of(" \n") + 1 - first);
}

// What the model says to the prompts of the spec; where one is a question that it is scored on,
// with the right answer.
Result<std::vector<monitor::Sample>> spoken(const Run& run, const Story& story) {
  std::vector<monitor::Sample> samples;
  for (const Completed& c : story.samples) samples.push_back({c.prompt, c.completion});
  if (samples.empty()) return samples;
  for (const TaskText& t : kTasks) {
    const std::string path = join_path(run.out, fmt::format("eval/{}.jsonl", t.task));
    if (!story.prep.eval_items.contains(t.task)) continue;
    ASSIGN_OR_RETURN(const auto items, eval::read_items(run.env, path, 0));
    for (const eval::Item& item : items)
      for (monitor::Sample& sample : samples) {
        if (sample.correct || trimmed(item.prompt) != trimmed(sample.prompt)) continue;
        const std::string said = trimmed(sample.completion);
        sample.expected = item.answer;
        sample.correct =
            without_stop(said.substr(0, said.find('\n'))) == without_stop(trimmed(item.answer));
        sample.note = t.phrasing;
      }
  }
  return samples;
}

}  // namespace

std::int64_t training_documents(const prep::PrepSummary& prep) {
  std::int64_t count = 0;
  for (const prep::SourceSummary& s : prep.sources) count += s.documents_train;
  return count;
}

Result<std::string> write_report(const Run& run, const Story& story) {
  ASSIGN_OR_RETURN(const auto metrics,
                   monitor::read_metrics(run.env, join_path(run.out, "metrics.jsonl")));
  monitor::Report report(
      {.title = run.spec.name,
       .subtitle = "From tables of facts to a talking model: what went in, how training went, what "
                   "it learned.",
       .facts = {{"spec", run.hash}, {"boreal", BOREAL_VERSION}, {"model", story.eval.model}}});
  add_key_figures(report, story, metrics);
  report.add_section("Corpus");
  add_corpus(report, story.prep);
  add_dropped(report, story.prep);
  report.add_section("Training");
  add_training(report, metrics);
  if (!story.eval.evaluation.scores.empty()) {
    report.add_section("Scores",
                       "Exact recall wants every token of the value, its unit and the end; each "
                       "share is of trained facts.");
    add_scores(report, story.eval.evaluation);
  }
  report.add_section("Talking");
  ASSIGN_OR_RETURN(const auto samples, spoken(run, story));
  if (!samples.empty()) report.add_samples(samples);
  report.add_preformatted("Your own prompt", story.generate_command);
  if (const auto answers = picked_answers(story.eval.evaluation); !answers.empty()) {
    report.add_section("Answers",
                       "A few items of each task as they were scored: what the model says to the "
                       "end of its line; … where it went on.");
    report.add_samples(answers);
  }
  report.add_section("Run");
  std::vector<monitor::StageTime> stages;
  for (const monitor::StageRecord& stage : run.ledger->stages())
    stages.push_back({stage.name, stage.wall_s});
  report.add_stages(stages);
  report.add_preformatted("Resolved spec", run.resolved);
  const std::string path = join_path(run.out, "report.html");
  RETURN_IF_ERROR(report.write(run.env, path));
  return path;
}

}  // namespace boreal::app
