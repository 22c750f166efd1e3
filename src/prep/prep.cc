#include "prep/prep.h"

#include <algorithm>
#include <optional>

#include "corpus/select.h"
#include "prep/eval_items.h"
#include "prep/inputs.h"
#include "prep/names.h"
#include "prep/outputs.h"
#include "prep/shards.h"
#include "prep/units.h"
#include "text/bpe_trainer.h"

namespace boreal::prep {

namespace {

using corpus::Split;
using corpus::Table;

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

// One run over one folder: the stages share what was read.
class Run {
 public:
  Run(Env& env, const spec::RunSpec& spec, Inputs inputs, Outputs outputs,
      const OnProgress& on_progress)
      : env_(env),
        spec_(spec),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        on_progress_(on_progress) {}

  Result<PrepSummary> all() {
    RETURN_IF_ERROR(read());
    RETURN_IF_ERROR(choose());
    RETURN_IF_ERROR(make_tokenizer());
    if (tokenizer_) {
      make_cards();
      RETURN_IF_ERROR(check_groups());
      RETURN_IF_ERROR(write_shards());
      RETURN_IF_ERROR(write_eval());
    }
    summarise();
    RETURN_IF_ERROR(list_files());
    RETURN_IF_ERROR(env_.write_file(outputs_.path("prep.json"), to_json(summary_)));
    return summary_;
  }

 private:
  void report(const std::string& stage, const std::string& source, std::int64_t done,
              std::int64_t total) const {
    if (on_progress_) on_progress_({stage, source, done, total});
  }

  Status read() {
    const auto total = static_cast<std::int64_t>(inputs_.sources.size());
    for (const Input& input : inputs_.sources) {
      report("read", input.name, static_cast<std::int64_t>(units_.size()), total);
      ASSIGN_OR_RETURN(Unit unit, read_unit(env_, spec_, input));
      units_.push_back(std::move(unit));
    }
    return Done{};
  }

  // Joins the tables: names, properties, families, the chosen facts.
  Status choose() {
    std::vector<Table> tables;
    for (Unit& unit : units_) {
      if (!unit.table) continue;
      for (const Table& other : tables) {
        if (other.spec.table != unit.table->spec.table) continue;
        return wrong_usage("{} and {}: both tables are called '{}'", other.file, unit.table->file,
                           other.spec.table);
      }
      tables.push_back(std::move(*unit.table));
    }
    if (!tables.empty()) {
      ASSIGN_OR_RETURN(families_, corpus::load_families(env_, inputs_.families_path));
      rotation_.emplace(families_.trained.size(), spec_.cards.heldout_every);
      corpus::settle_names(tables);
      for (const Table& table : tables) {
        for (const auto& column : table.spec.columns) {
          if (!column.note) rotation_->add(column.property);
        }
      }
      corpus::SelectOptions options;
      options.validation = spec_.data.validation;
      options.facts_max = spec_.cards.max_facts;
      options.seed = static_cast<std::uint64_t>(spec_.seed);
      corpus::select_facts(tables, options);
      names_ = all_names(tables);
    }
    for (auto next = tables.begin(); Unit & unit : units_) {
      if (unit.table) *unit.table = std::move(*next++);
    }
    return write_facts();
  }

  Status write_facts() {
    std::string csv = "table,record,property,value,unit,bundle,split,heldout_family\n";
    for (const Unit& unit : units_) {
      if (!unit.table) continue;
      for (const auto& record : unit.table->records) {
        for (const auto& fact : record.facts) {
          if (fact.split == Split::unused) continue;
          const auto held = rotation_->heldout(fact.property);
          const std::string held_name = held ? families_.trained[*held].name() : "";
          for (const std::string& cell : {unit.table->spec.table, record.name, fact.asked,
                                          fact.value, fact.unit, unit.table->bundle}) {
            csv += csv_cell(cell) + ",";
          }
          csv +=
              (fact.split == Split::train ? "train," : "validation,") + csv_cell(held_name) + "\n";
        }
      }
      if (!unit.table->spec.drafted) continue;
      RETURN_IF_ERROR(env_.make_dirs(outputs_.path("tables")));
      RETURN_IF_ERROR(env_.write_file(outputs_.path("tables/" + unit.input.name + ".yaml"),
                                      corpus::to_yaml(unit.table->spec)));
    }
    return rotation_ ? env_.write_file(outputs_.path("facts.csv"), csv) : Status(Done{});
  }

  bool has_documents() const {
    return std::any_of(units_.begin(), units_.end(), [](const Unit& unit) {
      return unit.input.kind != SourceKind::shards && unit.input.kind != SourceKind::synthetic;
    });
  }

  Status make_tokenizer() {
    if (!has_documents()) return Done{};
    const std::string path = outputs_.path("tokenizer/tokenizer.json");
    // A file of this stamp is this tokenizer; one that does not load was damaged since and is made
    // again.
    auto earlier = text::Tokenizer::load(env_, path);
    const bool made = earlier.ok();
    if (made) {
      tokenizer_ = std::move(earlier).value();
    } else if (!inputs_.tokenizer_path.empty()) {
      ASSIGN_OR_RETURN(tokenizer_, text::Tokenizer::load(env_, inputs_.tokenizer_path));
    } else {
      ASSIGN_OR_RETURN(tokenizer_, train_tokenizer());
    }
    if (!tokenizer_->end_of_text()) {
      return refused("{}: the tokenizer has no end-of-text token, which ends every document",
                     inputs_.tokenizer_path);
    }
    if (made) return Done{};
    RETURN_IF_ERROR(env_.make_dirs(outputs_.path("tokenizer")));
    return env_.write_file(path, tokenizer_->to_json());
  }

  // On the training documents of all sources; validation text must stay unseen.
  Result<text::Tokenizer> train_tokenizer() {
    text::BpeTrainOptions options;
    options.vocab_size = spec_.tokenizer.vocab;
    options.pattern = spec_.tokenizer.pattern;
    text::BpeTrainer trainer(options);
    std::int64_t done = 0;
    const auto total = static_cast<std::int64_t>(units_.size());
    for (Unit& unit : units_) {
      report("tokenizer", unit.input.name, done++, total);
      if (unit.table) make_groups(unit, spec_, families_, *rotation_, nullptr);
      for (const Group& group : unit.groups) {
        for (const auto& document : group.documents) {
          if (!document.validation) trainer.add(document.text);
        }
      }
    }
    return trainer.train();
  }

  void make_cards() {
    for (Unit& unit : units_) {
      if (unit.table) make_groups(unit, spec_, families_, *rotation_, &*tokenizer_);
    }
    drop_duplicates(units_);
  }

  // A source that gives no training document would silently train on nothing.
  Status check_groups() const {
    for (const Unit& unit : units_) {
      const SourceKind kind = unit.input.kind;
      if (kind == SourceKind::shards || kind == SourceKind::synthetic) continue;
      if (!shard_order(unit.groups, false, 0).empty()) continue;
      std::string reasons;
      for (const auto& [reason, entry] : unit.dropped.by_reason()) {
        reasons += fmt::format("; {}: {}", reason, entry.count);
      }
      return refused("{}: {} read, but no training document is left{}", unit.input.path, unit.read,
                     reasons);
    }
    return Done{};
  }

  Status write_shards() {
    const auto total = static_cast<std::int64_t>(units_.size());
    for (const Unit& unit : units_) {
      SourceSummary source;
      if (unit.groups.empty()) {
        summary_.sources.push_back(source);
        continue;
      }
      report("shards", unit.input.name, static_cast<std::int64_t>(summary_.sources.size()), total);
      const std::string folder = "shards/" + unit.input.name;
      RETURN_IF_ERROR(env_.make_dirs(outputs_.path(folder)));
      ASSIGN_OR_RETURN(const ShardCounts train, write_side(unit, folder + "/train", false));
      source.documents_train = train.documents;
      source.tokens_train = train.tokens;
      source.loss_tokens_train = train.loss_tokens;
      source.train_prefix = folder + "/train";
      ASSIGN_OR_RETURN(const ShardCounts valid, write_side(unit, folder + "/valid", true));
      source.documents_valid = valid.documents;
      source.tokens_valid = valid.tokens;
      if (valid.documents > 0) source.valid_prefix = folder + "/valid";
      summary_.sources.push_back(std::move(source));
    }
    return Done{};
  }

  Result<ShardCounts> write_side(const Unit& unit, const std::string& prefix, bool validation) {
    const auto order = shard_order(unit.groups, validation, static_cast<std::uint64_t>(spec_.seed));
    if (order.empty()) return ShardCounts{};
    const std::string path = outputs_.path(prefix);
    if (const auto earlier = finished_shard(env_, path, *tokenizer_)) return *earlier;
    return write_shard(env_, order, *tokenizer_, path);
  }

  Status write_eval() {
    if (!rotation_) return Done{};
    report("eval", "", 0, 1);
    EvalOptions options;
    options.seed = static_cast<std::uint64_t>(spec_.seed);
    options.tokens_max = spec_.data.sequence;
    std::map<std::string, std::string> text_of;
    for (const Unit& unit : units_) {
      if (!unit.table) continue;
      for (const EvalItem& item :
           make_eval_items(*unit.table, families_, *rotation_, *tokenizer_, options)) {
        text_of[item.task] += to_json_line(item);
        ++summary_.eval_items[item.task];
      }
    }
    RETURN_IF_ERROR(env_.make_dirs(outputs_.path("eval")));
    for (const auto& [task, lines] : text_of) {
      RETURN_IF_ERROR(env_.write_file(outputs_.path("eval/" + task + ".jsonl"), lines));
    }
    report("eval", "", 1, 1);
    return Done{};
  }

  void describe(const Unit& unit, SourceSummary& source) const {
    source.name = unit.input.name;
    source.kind = name_of(unit.input.kind);
    source.file = unit.input.path;
    source.bundle = unit.input.source.bundle.empty() ? unit.input.name : unit.input.source.bundle;
    source.licence = unit.input.source.licence.empty() ? "unknown" : unit.input.source.licence;
    source.read = unit.read;
    source.dropped = unit.dropped.by_reason();
    if (!unit.table) return;
    source.table = unit.table->spec.table;
    source.bundle = unit.table->bundle;
    source.licence = unit.table->licence;
    source.records = static_cast<std::int64_t>(unit.table->records.size());
    for (const auto& record : unit.table->records) {
      source.facts += static_cast<std::int64_t>(record.facts.size());
      for (const auto& fact : record.facts) {
        if (fact.split == Split::train) ++source.facts_trained;
        if (fact.split == Split::validation) ++source.facts_validation;
      }
    }
  }

  void summarise() {
    summary_.stamp = inputs_.stamp;
    summary_.inputs = inputs_.hashes;
    summary_.sources.resize(units_.size());
    for (std::size_t i = 0; i < units_.size(); ++i) {
      SourceSummary& source = summary_.sources[i];
      describe(units_[i], source);
      summary_.tables += units_[i].table ? 1 : 0;
      summary_.records += source.records;
      summary_.facts += source.facts;
      summary_.facts_trained += source.facts_trained;
      summary_.facts_validation += source.facts_validation;
      summary_.documents += source.documents_train + source.documents_valid;
      summary_.tokens += source.tokens_train;
      summary_.tokens_valid += source.tokens_valid;
    }
    if (!tokenizer_) return;
    summary_.vocab = tokenizer_->vocab_size();
    summary_.tokenizer_fingerprint = tokenizer_->fingerprint();
    summary_.names = static_cast<std::int64_t>(names_.size());
    summary_.names_unstable = std::count_if(
        names_.begin(), names_.end(),
        [&](const std::string& name) { return !same_ids_everywhere(*tokenizer_, name); });
  }

  Status list_files() {
    std::vector<std::string> folders = {"tokenizer", "eval", "tables"};
    for (const SourceSummary& source : summary_.sources) {
      if (!source.train_prefix.empty()) folders.push_back(parent_path(source.train_prefix));
    }
    std::vector<std::string> files;
    if (rotation_) files.push_back("facts.csv");
    for (const std::string& folder : folders) {
      if (!env_.exists(outputs_.path(folder))) continue;
      ASSIGN_OR_RETURN(const auto names, env_.list_dir(outputs_.path(folder)));
      for (const std::string& name : names) files.push_back(join_path(folder, name));
    }
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(summary_.files[file], env_.file_size(outputs_.path(file)));
    }
    return Done{};
  }

  Env& env_;
  const spec::RunSpec& spec_;
  Inputs inputs_;
  Outputs outputs_;
  const OnProgress& on_progress_;
  std::vector<Unit> units_;
  corpus::Families families_;
  std::optional<corpus::Rotation> rotation_;  // if there are tables
  std::optional<text::Tokenizer> tokenizer_;  // if there are documents
  std::vector<std::string> names_;
  PrepSummary summary_;
};

// The stored summary if the folder is finished under this stamp with all its files.
std::optional<PrepSummary> finished(Env& env, const std::string& out_dir,
                                    const std::string& stamp) {
  auto stored = read_summary(env, out_dir);
  if (!stored.ok() || stored->stamp != stamp) return std::nullopt;
  for (const auto& [file, bytes] : stored->files) {
    const auto size = env.file_size(join_path(out_dir, file));
    if (!size.ok() || *size != bytes) return std::nullopt;
  }
  stored->skipped = true;
  return std::move(stored).value();
}

}  // namespace

Result<std::vector<std::string>> changed_inputs(Env& env, const spec::RunSpec& spec,
                                                const std::string& out_dir) {
  std::vector<std::string> changes;
  const auto stored = read_summary(env, out_dir);
  if (!stored.ok()) return changes;
  ASSIGN_OR_RETURN(const Inputs inputs, resolve_inputs(env, spec));
  if (inputs.stamp == stored->stamp) return changes;
  for (const auto& [path, hash] : inputs.hashes) {
    const auto before = stored->inputs.find(path);
    if (before == stored->inputs.end())
      changes.push_back(path + " was not read");
    else if (before->second != hash)
      changes.push_back(fmt::format("{} had the hash {}, now {}", path, before->second, hash));
  }
  if (changes.empty()) changes.push_back("the inputs are others than the prepared ones");
  return changes;
}

Result<PrepSummary> run(Env& env, const spec::RunSpec& spec, const std::string& out_dir,
                        const OnProgress& on_progress) {
  if (spec.cards.heldout_every == 1 || spec.cards.heldout_every < 0) {
    return wrong_usage(
        "cards.heldout_every is {}, expected 0 (hold nothing out) or at least 2; 1 would hold a "
        "family out of everything",
        spec.cards.heldout_every);
  }
  ASSIGN_OR_RETURN(Inputs inputs, resolve_inputs(env, spec));
  ASSIGN_OR_RETURN(Outputs outputs, Outputs::open(env, out_dir, inputs.stamp));
  if (auto stored = finished(env, out_dir, inputs.stamp)) return std::move(*stored);
  Run prep(env, spec, std::move(inputs), std::move(outputs), on_progress);
  return prep.all();
}

}  // namespace boreal::prep
