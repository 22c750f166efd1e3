#include "prep/units.h"

#include <algorithm>
#include <tuple>

#include "base/philox.h"
#include "corpus/cards.h"
#include "corpus/dedup.h"
#include "corpus/prose.h"

namespace boreal::prep {

namespace {

std::uint64_t seed_of(const spec::RunSpec& spec) {
  return static_cast<std::uint64_t>(spec.seed);
}

Result<Unit> read_table_unit(Env& env, const spec::RunSpec& spec, const Input& input) {
  corpus::TableOptions options;
  options.source = input.name;
  options.bundle = input.source.bundle;
  options.licence = input.source.licence;
  options.records_max = input.source.max_records;
  options.seed = seed_of(spec);
  Unit unit;
  unit.input = input;
  ASSIGN_OR_RETURN(unit.table, corpus::read_table(env, input.path, options));
  unit.read = unit.table->rows_read;
  return unit;
}

Result<Unit> read_prose_unit(Env& env, const spec::RunSpec& spec, const Input& input) {
  corpus::ProseOptions options;
  options.source = input.name;
  options.bundle = input.source.bundle;
  options.licence = input.source.licence;
  options.field = input.source.field;
  options.validation = spec.data.validation;
  options.records_max = input.source.max_records;
  options.seed = seed_of(spec);
  const auto read =
      input.kind == SourceKind::text ? corpus::read_plain_text : corpus::read_json_documents;
  ASSIGN_OR_RETURN(corpus::Prose prose, read(env, input.path, options));
  Unit unit;
  unit.input = input;
  unit.read = prose.read;
  unit.dropped = std::move(prose.dropped);
  for (corpus::Document& document : prose.documents) {
    Group group;
    group.name = std::to_string(document.from.row);
    group.documents.push_back(std::move(document));
    unit.groups.push_back(std::move(group));
  }
  return unit;
}

}  // namespace

Result<Unit> read_unit(Env& env, const spec::RunSpec& spec, const Input& input) {
  switch (input.kind) {
    case SourceKind::table: return read_table_unit(env, spec, input);
    case SourceKind::text:
    case SourceKind::jsonl: return read_prose_unit(env, spec, input);
    case SourceKind::shards:
    case SourceKind::synthetic: break;
  }
  Unit unit;
  unit.input = input;
  return unit;
}

void make_groups(Unit& unit, const spec::RunSpec& spec, const corpus::Families& families,
                 const corpus::Rotation& rotation, const text::Tokenizer* tokenizer) {
  if (!unit.table) return;
  corpus::CardOptions options;
  options.facts_per_document = spec.cards.facts_per_document;
  options.loss_on_values = spec.cards.loss_on_values;
  options.seed = seed_of(spec);
  if (tokenizer != nullptr) {
    options.tokens_max = spec.data.sequence;
    options.count_tokens = [tokenizer](std::string_view text) {
      return static_cast<std::int64_t>(tokenizer->encode(text).size());
    };
  }
  unit.dropped = unit.table->dropped;
  unit.groups.clear();
  for (auto& cards : corpus::make_cards(*unit.table, families, rotation, options, unit.dropped)) {
    unit.groups.push_back({cards.record->name, std::move(cards.documents)});
  }
}

std::vector<TextKey> text_keys(const Unit& unit) {
  std::vector<TextKey> keys;
  for (const Group& group : unit.groups) {
    for (const corpus::Document& document : group.documents)
      keys.push_back({corpus::Dedup::key_of(document.text), document.validation});
  }
  return keys;
}

void drop_duplicates(Unit& unit, const std::vector<bool>& keep) {
  std::size_t at = 0;
  for (Group& group : unit.groups) {
    std::erase_if(group.documents, [&](const corpus::Document& document) {
      if (keep[at++]) return false;
      unit.dropped.add("exact duplicate",
                       fmt::format("{}:{}", document.from.file, document.from.row));
      return true;
    });
  }
  CHECK_EQ(at, keep.size());
  std::erase_if(unit.groups, [](const Group& group) { return group.documents.empty(); });
}

std::vector<const corpus::Document*> shard_order(const std::vector<Group>& groups, bool validation,
                                                 std::uint64_t seed) {
  std::vector<std::pair<std::uint64_t, std::vector<const corpus::Document*>>> chosen;
  const std::uint64_t key = mix(seed, "shard order");
  for (const Group& group : groups) {
    std::vector<const corpus::Document*> documents;
    for (const auto& document : group.documents) {
      if (document.validation == validation) documents.push_back(&document);
    }
    if (!documents.empty()) chosen.emplace_back(mix(key, group.name), std::move(documents));
  }
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  using Place = std::tuple<std::size_t, std::uint64_t, const corpus::Document*>;
  std::vector<Place> places;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const std::size_t stratum = i * kStrata / chosen.size();
    for (const auto* document : chosen[i].second)
      places.emplace_back(stratum, mix(key, document->text), document);
  }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  std::vector<const corpus::Document*> order;
  for (const Place& place : places) order.push_back(std::get<2>(place));
  return order;
}

}  // namespace boreal::prep
