#include "prep/rank_run.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "corpus/dedup.h"
#include "prep/eval_items.h"
#include "prep/summary.h"
#include "text/bpe_trainer.h"

namespace boreal::prep {

namespace {

// Of the texts stage: the source's part of the summary, then a line a document: t or v, and the key
// of its text.
std::string texts_payload(const Unit& unit) {
  SourceSummary source;
  describe(unit, source);
  std::string payload = to_json(source) + "\n";
  for (const TextKey& text : text_keys(unit)) {
    payload += text.validation ? 'v' : 't';
    payload += text.key;
    payload += '\n';
  }
  return payload;
}

text::BpeTrainOptions train_options(const spec::RunSpec& spec) {
  text::BpeTrainOptions options;
  options.vocab_size = spec.tokenizer.vocab;
  options.pattern = spec.tokenizer.pattern;
  return options;
}

std::size_t documents_of(const Unit& unit) {
  return std::accumulate(
      unit.groups.begin(), unit.groups.end(), std::size_t{0},
      [](std::size_t sum, const Group& group) { return sum + group.documents.size(); });
}

}  // namespace

RankRun::RankRun(Env& env, const spec::RunSpec& spec, const Inputs& inputs, Outputs& outputs,
                 const OnProgress& on_progress, const PrepOptions& options,
                 std::function<std::optional<PrepSummary>()> finished)
    : env_(env),
      spec_(spec),
      inputs_(inputs),
      outputs_(outputs),
      on_progress_(on_progress),
      options_(options),
      finished_(std::move(finished)),
      loaded_(inputs.sources.size()),
      prepared_(inputs.sources.size()),
      keep_(inputs.sources.size()) {
  for (const Input& input : inputs.sources) {
    const std::size_t i = units_.size();
    units_.emplace_back().input = input;
    sources_.push_back(i);
    if (input.kind == SourceKind::table) tables_.push_back(i);
    if (input.kind != SourceKind::shards && input.kind != SourceKind::synthetic)
      documents_.push_back(i);
  }
}

Result<PrepSummary> RankRun::all() {
  RETURN_IF_ERROR(read());
  ASSIGN_OR_RETURN(joined_, join_tables(env_, spec_, inputs_, units_));
  RETURN_IF_ERROR(make_tokenizer());
  RETURN_IF_ERROR(each(
      "texts", documents_, [&](std::size_t i) { return is_told("texts", i); },
      [&](std::size_t i) { return tell_texts(i); }));
  RETURN_IF_ERROR(find_duplicates());
  outputs_.forget("texts");
  RETURN_IF_ERROR(each(
      "shards", sources_, [&](std::size_t i) { return shards_are_made(i); },
      [&](std::size_t i) { return make_shards(i); }));
  RETURN_IF_ERROR(each(
      "eval", tables_, [&](std::size_t i) { return is_told("eval", i); },
      [&](std::size_t i) { return tell_items(i); }));
  // A lone rank writes anew what it cannot look into.
  const auto is_finished = [&] {
    auto stored = options_.ranks > 1 ? finished_() : std::nullopt;
    if (stored) summary_ = std::move(*stored);
    return stored.has_value();
  };
  RETURN_IF_ERROR(once("summary", "prep.json", is_finished, [&] { return write_summary(); }));
  summary_.skipped = false;
  return summary_;
}

void RankRun::report(const std::string& stage, const std::string& source, std::size_t done,
                     std::size_t total) const {
  if (on_progress_)
    on_progress_(
        {stage, source, static_cast<std::int64_t>(done), static_cast<std::int64_t>(total)});
}

Status RankRun::each(const std::string& stage, const std::vector<std::size_t>& of,
                     const std::function<bool(std::size_t)>& is_done,
                     const std::function<Status(std::size_t)>& make) {
  WorkList list;
  list.stage = stage;
  list.missing = "prep/units/" + stage + "/{}";
  for (const std::size_t i : of) list.units.push_back(units_[i].input.name);
  list.is_done = [&](std::size_t at) { return is_done(of[at]); };
  std::size_t made = 0;
  list.make = [&](std::size_t at) {
    if (stage != "texts")
      report(stage == "words" ? "tokenizer" : stage, list.units[at], made++, of.size());
    return make(of[at]);
  };
  return complete(list, outputs_, options_, [&] { return finished_().has_value(); });
}

Status RankRun::once(const std::string& stage, const std::string& file,
                     const std::function<bool()>& is_done, const std::function<Status()>& make) {
  WorkList list;
  list.stage = stage;
  list.missing = file;
  list.units = {"all"};
  list.is_done = [&](std::size_t) { return is_done(); };
  list.make = [&](std::size_t) { return make(); };
  return complete(list, outputs_, options_, [&] { return finished_().has_value(); });
}

std::string RankRun::told_name(const std::string& stage, std::size_t i) const {
  return stage + "/" + units_[i].input.name;
}

bool RankRun::is_told(const std::string& stage, std::size_t i) const {
  return outputs_.is_told(told_name(stage, i));
}

Result<std::string> RankRun::told(const std::string& stage, std::size_t i,
                                  Status (RankRun::*make)(std::size_t)) {
  const std::string name = told_name(stage, i);
  if (auto payload = outputs_.told(name)) return std::move(*payload);
  if (finished_()) return Error{"other ranks finished the prep meanwhile", ErrorKind::try_again};
  RETURN_IF_ERROR((this->*make)(i));
  if (auto payload = outputs_.told(name)) return std::move(*payload);
  return failed("{}: is damaged as soon as it is written", outputs_.told_path(name));
}

Status RankRun::read() {
  std::size_t done = 0;
  for (const std::size_t i : sources_) {
    const Input& input = units_[i].input;
    const bool mine = owner_of(input.name, options_.ranks) == options_.rank;
    // What was made of it before tells more cheaply all that others need of it.
    const bool needed = input.kind == SourceKind::table || (mine && !is_told("shards", i));
    report("read", input.name, done++, sources_.size());
    if (needed) RETURN_IF_ERROR(load(i));
  }
  return Done{};
}

Status RankRun::load(std::size_t i) {
  if (loaded_[i]) return Done{};
  const Input input = units_[i].input;
  ASSIGN_OR_RETURN(units_[i], read_unit(env_, spec_, input));
  loaded_[i] = true;
  return Done{};
}

Status RankRun::prepare(std::size_t i) {
  if (prepared_[i]) return Done{};
  RETURN_IF_ERROR(load(i));
  if (units_[i].table)
    make_groups(units_[i], spec_, joined_.families, *joined_.rotation, &*tokenizer_);
  prepared_[i] = true;
  return Done{};
}

Status RankRun::make_tokenizer() {
  if (documents_.empty()) return Done{};
  // A file of this stamp is this tokenizer; one that does not load was damaged since and is made
  // again.
  const auto loads = [&] {
    auto made = text::Tokenizer::load(env_, outputs_.path("tokenizer/tokenizer.json"));
    if (made.ok()) tokenizer_ = std::move(made).value();
    return tokenizer_.has_value();
  };
  if (!loads()) {
    if (inputs_.tokenizer_path.empty()) {
      RETURN_IF_ERROR(each(
          "words", documents_, [&](std::size_t i) { return is_told("words", i); },
          [&](std::size_t i) { return count_words(i); }));
    }
    RETURN_IF_ERROR(
        once("tokenizer", "tokenizer/tokenizer.json", loads, [&] { return write_tokenizer(); }));
  }
  if (tokenizer_->end_of_text()) return Done{};
  return refused("{}: the tokenizer has no end-of-text token, which ends every document",
                 outputs_.path("tokenizer/tokenizer.json"));
}

// Of the training documents; validation text must stay unseen.
Status RankRun::count_words(std::size_t i) {
  RETURN_IF_ERROR(load(i));
  Unit& unit = units_[i];
  if (unit.table) make_groups(unit, spec_, joined_.families, *joined_.rotation, nullptr);
  text::BpeTrainer trainer(train_options(spec_));
  for (const Group& group : unit.groups) {
    for (const auto& document : group.documents) {
      if (!document.validation) trainer.add(document.text);
    }
  }
  return outputs_.tell(told_name("words", i), trainer.counts());
}

Result<text::Tokenizer> RankRun::train_tokenizer() {
  text::BpeTrainer trainer(train_options(spec_));
  for (const std::size_t i : documents_) {
    ASSIGN_OR_RETURN(const std::string counts, told("words", i, &RankRun::count_words));
    RETURN_IF_ERROR(trainer.add_counts(counts));
  }
  return trainer.train();
}

Status RankRun::write_tokenizer() {
  if (inputs_.tokenizer_path.empty()) {
    ASSIGN_OR_RETURN(tokenizer_, train_tokenizer());
  } else {
    ASSIGN_OR_RETURN(tokenizer_, text::Tokenizer::load(env_, inputs_.tokenizer_path));
    if (!tokenizer_->end_of_text()) {
      return refused("{}: the tokenizer has no end-of-text token, which ends every document",
                     inputs_.tokenizer_path);
    }
  }
  return outputs_.commit_file("tokenizer/tokenizer.json", tokenizer_->to_json());
}

Status RankRun::tell_texts(std::size_t i) {
  RETURN_IF_ERROR(prepare(i));
  return outputs_.tell(told_name("texts", i), texts_payload(units_[i]));
}

// In the order of the spec, so the first source that says a thing keeps it.
Status RankRun::find_duplicates() {
  corpus::Dedup dedup;
  for (const std::size_t i : documents_) {
    ASSIGN_OR_RETURN(const std::string payload, told("texts", i, &RankRun::tell_texts));
    std::size_t at = payload.find('\n');
    const auto source = source_from_json(payload.substr(0, at));
    CHECK(source.has_value(), "{}", outputs_.told_path(told_name("texts", i)));
    std::int64_t trained = 0;
    std::int64_t duplicates = 0;
    for (++at; at < payload.size();) {
      const std::size_t end = payload.find('\n', at);
      const bool fresh = dedup.is_new_key(std::string_view(payload).substr(at + 1, end - at - 1));
      trained += fresh && payload[at] == 't' ? 1 : 0;
      duplicates += fresh ? 0 : 1;
      keep_[i].push_back(fresh);
      at = end + 1;
    }
    if (trained > 0) continue;
    // It would silently train on nothing.
    std::map<std::string, std::int64_t> reasons;
    for (const auto& [reason, entry] : source->dropped) reasons[reason] = entry.count;
    if (duplicates > 0) reasons["exact duplicate"] += duplicates;
    std::string told_reasons;
    for (const auto& [reason, count] : reasons)
      told_reasons += fmt::format("; {}: {}", reason, count);
    return refused("{}: {} read, but no training document is left{}", units_[i].input.path,
                   source->read, told_reasons);
  }
  return Done{};
}

bool RankRun::shards_are_made(std::size_t i) const {
  const auto payload = outputs_.told(told_name("shards", i));
  const auto source = payload ? source_from_json(*payload) : std::nullopt;
  if (!source) return false;
  for (const std::string& prefix : {source->train_prefix, source->valid_prefix}) {
    if (!prefix.empty() && !finished_shard(env_, outputs_.path(prefix), *tokenizer_)) return false;
  }
  return true;
}

Status RankRun::make_shards(std::size_t i) {
  SourceSummary source;
  if (std::ranges::find(documents_, i) == documents_.end()) {
    RETURN_IF_ERROR(load(i));
    describe(units_[i], source);
    return outputs_.tell(told_name("shards", i), to_json(source));
  }
  RETURN_IF_ERROR(prepare(i));
  Unit& unit = units_[i];
  if (documents_of(unit) != keep_[i].size()) {
    return failed("{}: {} documents now, {} before; did the file change while it was read?",
                  unit.input.path, documents_of(unit), keep_[i].size());
  }
  drop_duplicates(unit, keep_[i]);
  describe(unit, source);
  RETURN_IF_ERROR(write_shards(unit, source));
  // As before it was read, but for a table, which others need.
  unit.groups.clear();
  prepared_[i] = false;
  loaded_[i] = unit.table.has_value();
  return outputs_.tell(told_name("shards", i), to_json(source));
}

Status RankRun::write_shards(const Unit& unit, SourceSummary& source) {
  const auto seed = static_cast<std::uint64_t>(spec_.seed);
  const std::string folder = "shards/" + unit.input.name;
  const std::string sides[] = {folder + "/train", folder + "/valid"};
  const std::vector<const corpus::Document*> documents[] = {shard_order(unit.groups, false, seed),
                                                            shard_order(unit.groups, true, seed)};
  std::optional<ShardCounts> counts[2];
  const auto are_whole = [&] {
    for (const std::size_t side : {0, 1}) {
      counts[side] = documents[side].empty()
                         ? ShardCounts{}
                         : finished_shard(env_, outputs_.path(sides[side]), *tokenizer_);
    }
    return counts[0] && counts[1];
  };
  if (!are_whole()) {
    for (const std::size_t side : {0, 1}) {
      if (documents[side].empty()) continue;
      ASSIGN_OR_RETURN(const std::string prefix, outputs_.work_path(sides[side]));
      ASSIGN_OR_RETURN(counts[side], write_shard(env_, documents[side], *tokenizer_, prefix));
    }
    const Status committed = outputs_.commit_folder(folder);
    // Another that made the same may have come between; whole is whole.
    if (!committed.ok() && !are_whole()) return committed;
  }
  source.documents_train = counts[0]->documents;
  source.tokens_train = counts[0]->tokens;
  source.loss_tokens_train = counts[0]->loss_tokens;
  source.train_prefix = sides[0];
  source.documents_valid = counts[1]->documents;
  source.tokens_valid = counts[1]->tokens;
  if (counts[1]->documents > 0) source.valid_prefix = sides[1];
  return Done{};
}

}  // namespace boreal::prep
