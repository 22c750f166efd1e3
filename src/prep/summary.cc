#include "prep/summary.h"

#include <nlohmann/json.hpp>

namespace boreal::prep {

namespace {

using json = nlohmann::ordered_json;

// One list of fields for both directions; v(key, member).
template <class Summary, class V>
void visit_source(Summary& s, V&& v) {
  v("name", s.name);
  v("kind", s.kind);
  v("file", s.file);
  v("table", s.table);
  v("bundle", s.bundle);
  v("licence", s.licence);
  v("read", s.read);
  v("records", s.records);
  v("facts", s.facts);
  v("facts_trained", s.facts_trained);
  v("facts_validation", s.facts_validation);
  v("documents_train", s.documents_train);
  v("documents_valid", s.documents_valid);
  v("tokens_train", s.tokens_train);
  v("tokens_valid", s.tokens_valid);
  v("loss_tokens_train", s.loss_tokens_train);
  v("train_prefix", s.train_prefix);
  v("valid_prefix", s.valid_prefix);
}

template <class Summary, class V>
void visit_totals(Summary& s, V&& v) {
  v("stamp", s.stamp);
  v("inputs", s.inputs);
  v("tables", s.tables);
  v("records", s.records);
  v("facts", s.facts);
  v("facts_trained", s.facts_trained);
  v("facts_validation", s.facts_validation);
  v("documents", s.documents);
  v("tokens", s.tokens);
  v("tokens_valid", s.tokens_valid);
  v("vocab", s.vocab);
  v("tokenizer_fingerprint", s.tokenizer_fingerprint);
  v("names", s.names);
  v("names_unstable", s.names_unstable);
  v("eval_items", s.eval_items);
  v("files", s.files);
}

// Takes members out of an object; ok stays true while each is there and of its type.
class Taker {
 public:
  Taker(const json& object, bool& ok) : object_(object), ok_(ok) {}

  void operator()(const char* key, std::string& out) {
    const json* value = find(key);
    if (value != nullptr && value->is_string()) {
      out = *value->get_ptr<const std::string*>();
    } else {
      ok_ = false;
    }
  }
  void operator()(const char* key, std::int64_t& out) {
    const json* value = find(key);
    if (value != nullptr && value->is_number_integer()) {
      out = value->get<std::int64_t>();
    } else {
      ok_ = false;
    }
  }
  template <class Value>
  void operator()(const char* key, std::map<std::string, Value>& out) {
    const json* object = find(key);
    ok_ = ok_ && object != nullptr && object->is_object();
    if (!ok_) return;
    for (const auto& [name, value] : object->items()) {
      if (std::is_integral_v<Value> ? value.is_number_integer() : value.is_string()) {
        out[name] = value.template get<Value>();
      } else {
        ok_ = false;
      }
    }
  }

 private:
  const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  const json& object_;
  bool& ok_;
};

json dropped_to_json(const std::map<std::string, corpus::Dropped>& dropped) {
  json object = json::object();
  for (const auto& [reason, entry] : dropped) {
    object[reason] = {{"count", entry.count}, {"examples", entry.examples}};
  }
  return object;
}

bool take_dropped(const json& source, std::map<std::string, corpus::Dropped>& dropped) {
  if (!source.contains("dropped") || !source["dropped"].is_object()) return false;
  for (const auto& [reason, entry] : source["dropped"].items()) {
    bool ok = true;
    Taker(entry, ok)("count", dropped[reason].count);
    if (!ok || !entry.contains("examples") || !entry["examples"].is_array()) return false;
    for (const auto& example : entry["examples"]) {
      if (!example.is_string()) return false;
      dropped[reason].examples.push_back(example.get<std::string>());
    }
  }
  return true;
}

auto put_into(json& target) {
  return [&target](const char* key, const auto& value) { target[key] = value; };
}

json source_to_json(const SourceSummary& source) {
  json entry;
  visit_source(source, put_into(entry));
  entry["dropped"] = dropped_to_json(source.dropped);
  return entry;
}

bool take_source(const json& entry, SourceSummary& source) {
  bool ok = true;
  visit_source(source, Taker(entry, ok));
  return ok && take_dropped(entry, source.dropped);
}

}  // namespace

std::string to_json(const SourceSummary& source) {
  return source_to_json(source).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<SourceSummary> source_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  SourceSummary source;
  if (!object.is_object() || !take_source(object, source)) return std::nullopt;
  return source;
}

void describe(const Unit& unit, SourceSummary& source) {
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
      if (fact.split == corpus::Split::train) ++source.facts_trained;
      if (fact.split == corpus::Split::validation) ++source.facts_validation;
    }
  }
}

void add_up(PrepSummary& summary) {
  for (const SourceSummary& source : summary.sources) {
    summary.tables += source.kind == name_of(SourceKind::table) ? 1 : 0;
    summary.records += source.records;
    summary.facts += source.facts;
    summary.facts_trained += source.facts_trained;
    summary.facts_validation += source.facts_validation;
    summary.documents += source.documents_train + source.documents_valid;
    summary.tokens += source.tokens_train;
    summary.tokens_valid += source.tokens_valid;
  }
}

std::string to_json(const PrepSummary& summary) {
  json object;
  visit_totals(summary, put_into(object));
  object["sources"] = json::array();
  for (const SourceSummary& source : summary.sources)
    object["sources"].push_back(source_to_json(source));
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<PrepSummary> read_summary(Env& env, const std::string& out_dir) {
  const std::string path = join_path(out_dir, "prep.json");
  if (!env.exists(path))
    return refused("{}: there is none, so prep did not finish in this folder", path);
  ASSIGN_OR_RETURN(const std::string text, env.read_file(path));
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  PrepSummary summary;
  bool ok = object.is_object() && object.contains("sources") && object["sources"].is_array();
  if (ok) visit_totals(summary, Taker(object, ok));
  for (std::size_t i = 0; ok && i < object["sources"].size(); ++i) {
    SourceSummary source;
    ok = take_source(object["sources"][i], source);
    summary.sources.push_back(std::move(source));
  }
  if (!ok) return refused("{}: damaged, or written by another version; run prep again", path);
  return summary;
}

}  // namespace boreal::prep
