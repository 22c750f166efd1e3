#include "prep/inputs.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/hash.h"
#include "corpus/table_spec.h"
#include "corpus/text_file.h"
#include "spec/reader.h"

namespace boreal::prep {

namespace {

Result<Input> classify(const spec::SourceSpec& source, std::size_t index) {
  std::vector<std::pair<SourceKind, std::string>> kinds;
  if (!source.table.empty()) kinds.emplace_back(SourceKind::table, source.table);
  if (!source.text.empty()) kinds.emplace_back(SourceKind::text, source.text);
  if (!source.jsonl.empty()) kinds.emplace_back(SourceKind::jsonl, source.jsonl);
  if (!source.shards.empty()) kinds.emplace_back(SourceKind::shards, source.shards);
  if (source.synthetic) kinds.emplace_back(SourceKind::synthetic, "");
  if (kinds.size() != 1) {
    return wrong_usage(
        "data.sources.{}: {} of table, text, jsonl, shards, synthetic are set, expected exactly 1",
        index, kinds.size());
  }
  Input input;
  input.kind = kinds[0].first;
  input.path = kinds[0].second;
  input.source = source;
  input.name = source.name;
  if (input.name.empty())
    input.name = input.path.empty() ? "synthetic" : corpus::data_stem(input.path);
  const bool plain = std::all_of(input.name.begin(), input.name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c >= 0x80;
  });
  if (!plain || input.name.empty() || input.name[0] == '.') {
    return wrong_usage(
        "data.sources.{}: the name '{}' names a folder; use letters, digits, '_', '-' and '.' (set "
        "name)",
        index, input.name);
  }
  return input;
}

// The path under `first`, else from the working folder; with work_first the other way round.
Result<std::string> find_input(Env& env, const std::string& root, const std::string& path,
                               bool work_first) {
  std::vector<std::string> places = {join_path(root, path), path};
  if (work_first) std::swap(places[0], places[1]);
  for (const std::string& place : places) {
    if (env.exists(place)) return place;
  }
  if (places[0] == places[1]) return refused("{}: there is no such file", path);
  return refused(
      "{}: there is no such file, neither {} nor {}; relative paths start from data.root", path,
      places[0], places[1]);
}

Status add_file(Env& env, const std::string& path, std::string& described) {
  if (env.is_dir(path)) return refused("{}: is a folder, expected a file", path);
  ASSIGN_OR_RETURN(const auto mapped, env.map_file(path));
  described += fmt::format("{} {}\n", path, xxh3_128_hex(mapped->bytes()));
  return Done{};
}

// What of the spec decides prep's files.
std::string relevant_spec(const spec::RunSpec& spec) {
  spec::RunSpec relevant;
  relevant.seed = spec.seed;
  relevant.data = spec.data;
  relevant.data.document_mask = true;
  relevant.data.warm_records = 0;
  relevant.data.warm_steps = 0;
  for (auto& source : relevant.data.sources) source.weight = 1;
  relevant.tokenizer = spec.tokenizer;
  relevant.cards = spec.cards;
  return spec::resolved_yaml(relevant);
}

}  // namespace

std::string_view name_of(SourceKind kind) {
  switch (kind) {
    case SourceKind::table: return "table";
    case SourceKind::text: return "text";
    case SourceKind::jsonl: return "jsonl";
    case SourceKind::shards: return "shards";
    case SourceKind::synthetic: return "synthetic";
  }
  return "";
}

Result<Inputs> resolve_inputs(Env& env, const spec::RunSpec& spec) {
  if (spec.data.sources.empty())
    return wrong_usage("data.sources is empty: there is nothing to prepare");
  Inputs inputs;
  std::set<std::string> names;
  std::string described = fmt::format("boreal prep {}\n{}\n", kFormatVersion, relevant_spec(spec));
  bool any_table = false;
  bool any_text = false;
  for (std::size_t i = 0; i < spec.data.sources.size(); ++i) {
    ASSIGN_OR_RETURN(Input input, classify(spec.data.sources[i], i));
    if (!names.insert(input.name).second) {
      return wrong_usage("data.sources.{}: two sources are called '{}'; set their names", i,
                         input.name);
    }
    if (input.kind == SourceKind::table || input.kind == SourceKind::text ||
        input.kind == SourceKind::jsonl) {
      ASSIGN_OR_RETURN(input.path, find_input(env, spec.data.root, input.path, false));
      RETURN_IF_ERROR(add_file(env, input.path, described));
      any_text = true;
    }
    if (input.kind == SourceKind::table) {
      any_table = true;
      const std::string description = corpus::table_spec_path(input.path);
      if (env.exists(description)) RETURN_IF_ERROR(add_file(env, description, described));
    }
    inputs.sources.push_back(std::move(input));
  }
  if (any_table) {
    ASSIGN_OR_RETURN(inputs.families_path,
                     find_input(env, spec.data.root, spec.cards.families, true));
    RETURN_IF_ERROR(add_file(env, inputs.families_path, described));
  }
  if (any_text && spec.data.tokenizer != "train") {
    ASSIGN_OR_RETURN(inputs.tokenizer_path,
                     find_input(env, spec.data.root, spec.data.tokenizer, false));
    RETURN_IF_ERROR(add_file(env, inputs.tokenizer_path, described));
  }
  inputs.stamp = xxh3_128_hex(described);
  return inputs;
}

}  // namespace boreal::prep
