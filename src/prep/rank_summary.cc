// RankRun: items for evaluation, and all that is written once.
#include <algorithm>

#include "prep/eval_items.h"
#include "prep/names.h"
#include "prep/rank_run.h"
#include "prep/summary.h"
#include "tokens/shard_format.h"

namespace boreal::prep {

// For each task a line "task items bytes", then that many bytes of items.
Status RankRun::tell_items(std::size_t i) {
  EvalOptions options;
  options.seed = static_cast<std::uint64_t>(spec_.seed);
  options.tokens_max = spec_.data.sequence;
  std::map<std::string, std::pair<std::int64_t, std::string>> tasks;
  for (const EvalItem& item : make_eval_items(*units_[i].table, joined_.families, *joined_.rotation,
                                              *tokenizer_, options)) {
    auto& [items, lines] = tasks[item.task];
    ++items;
    lines += to_json_line(item);
  }
  std::string payload;
  for (const auto& [task, of_task] : tasks)
    payload +=
        fmt::format("{} {} {}\n{}", task, of_task.first, of_task.second.size(), of_task.second);
  return outputs_.tell(told_name("eval", i), std::move(payload));
}

Status RankRun::write_items() {
  std::map<std::string, std::string> lines_of;
  for (const std::size_t i : tables_) {
    ASSIGN_OR_RETURN(const std::string payload, told("eval", i, &RankRun::tell_items));
    for (std::size_t at = 0; at < payload.size();) {
      const std::size_t end = payload.find('\n', at);
      const std::string head = payload.substr(at, end - at);
      char task[64] = {};
      std::int64_t items = 0;
      std::size_t bytes = 0;
      CHECK_EQ(std::sscanf(head.c_str(), "%63s %ld %zu", task, &items, &bytes), 3);
      lines_of[task] += payload.substr(end + 1, bytes);
      summary_.eval_items[task] += items;
      at = end + 1 + bytes;
    }
  }
  for (const auto& [task, lines] : lines_of)
    RETURN_IF_ERROR(outputs_.commit_file("eval/" + task + ".jsonl", lines));
  return Done{};
}

Status RankRun::write_facts() {
  for (const std::size_t i : tables_) {
    const Unit& unit = units_[i];
    if (!unit.table->spec.drafted) continue;
    RETURN_IF_ERROR(outputs_.commit_file("tables/" + unit.input.name + ".yaml",
                                         corpus::to_yaml(unit.table->spec)));
  }
  if (!joined_.rotation) return Done{};
  return outputs_.commit_file("facts.csv", facts_csv(units_, joined_));
}

Status RankRun::write_summary() {
  RETURN_IF_ERROR(write_facts());
  RETURN_IF_ERROR(write_items());
  summary_.stamp = inputs_.stamp;
  summary_.inputs = inputs_.hashes;
  for (const std::size_t i : sources_) {
    ASSIGN_OR_RETURN(const std::string payload, told("shards", i, &RankRun::make_shards));
    auto source = source_from_json(payload);
    CHECK(source.has_value(), "{}", outputs_.told_path(told_name("shards", i)));
    summary_.sources.push_back(std::move(*source));
  }
  add_up(summary_);
  if (tokenizer_) {
    summary_.vocab = tokenizer_->vocab_size();
    summary_.tokenizer_fingerprint = tokenizer_->fingerprint();
    summary_.names = static_cast<std::int64_t>(joined_.names.size());
    summary_.names_unstable = std::ranges::count_if(joined_.names, [&](const std::string& name) {
      return !same_ids_everywhere(*tokenizer_, name);
    });
  }
  RETURN_IF_ERROR(list_files());
  if (tokenizer_) RETURN_IF_ERROR(env_.sync_dir(outputs_.path("shards")));
  return outputs_.commit_file("prep.json", to_json(summary_));
}

// By name, not by what stands in the folders: nothing of anybody else, and nothing lost unnoticed.
Status RankRun::list_files() {
  std::vector<std::string> files;
  if (tokenizer_) files.emplace_back("tokenizer/tokenizer.json");
  if (joined_.rotation) files.emplace_back("facts.csv");
  for (const auto& [task, items] : summary_.eval_items) files.push_back("eval/" + task + ".jsonl");
  for (const std::size_t i : tables_) {
    const Unit& unit = units_[i];
    if (unit.table->spec.drafted) files.push_back("tables/" + unit.input.name + ".yaml");
  }
  for (const SourceSummary& source : summary_.sources) {
    for (const std::string& prefix : {source.train_prefix, source.valid_prefix}) {
      if (prefix.empty()) continue;
      for (const std::string_view key : tokens::kFileKeys)
        files.push_back(fmt::format("{}.{}", prefix, key));
      files.push_back(prefix + std::string(tokens::kMetaSuffix));
    }
  }
  for (const std::string& file : files) {
    const auto bytes = env_.file_size(outputs_.path(file));
    if (!bytes.ok())
      return failed("{}: was written and is lost; run the same command again",
                    bytes.error().message);
    summary_.files[file] = *bytes;
  }
  return Done{};
}

}  // namespace boreal::prep
