#include "prep/joined.h"

#include <utility>

#include "corpus/select.h"
#include "prep/names.h"

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

}  // namespace

Result<Joined> join_tables(Env& env, const spec::RunSpec& spec, const Inputs& inputs,
                           std::vector<Unit>& units) {
  Joined joined;
  std::vector<Table> tables;
  for (Unit& unit : units) {
    if (!unit.table) continue;
    for (const Table& other : tables) {
      if (other.spec.table != unit.table->spec.table) continue;
      return wrong_usage("{} and {}: both tables are called '{}'", other.file, unit.table->file,
                         other.spec.table);
    }
    tables.push_back(std::move(*unit.table));
  }
  if (tables.empty()) return joined;
  ASSIGN_OR_RETURN(joined.families, corpus::load_families(env, inputs.families_path));
  joined.rotation.emplace(joined.families.trained.size(), spec.cards.heldout_every);
  corpus::settle_names(tables);
  for (const Table& table : tables) {
    for (const auto& column : table.spec.columns) {
      if (!column.note) joined.rotation->add(column.property);
    }
  }
  corpus::SelectOptions options;
  options.validation = spec.data.validation;
  options.facts_max = spec.cards.max_facts;
  options.seed = static_cast<std::uint64_t>(spec.seed);
  corpus::select_facts(tables, options);
  joined.names = all_names(tables);
  for (auto next = tables.begin(); Unit & unit : units) {
    if (unit.table) *unit.table = std::move(*next++);
  }
  return joined;
}

std::string facts_csv(const std::vector<Unit>& units, const Joined& joined) {
  std::string csv = "table,record,property,value,unit,bundle,split,heldout_family\n";
  for (const Unit& unit : units) {
    if (!unit.table) continue;
    for (const auto& record : unit.table->records) {
      for (const auto& fact : record.facts) {
        if (fact.split == Split::unused) continue;
        const auto held = joined.rotation->heldout(fact.property);
        const std::string held_name = held ? joined.families.trained[*held].name() : "";
        for (const std::string& cell : {unit.table->spec.table, record.name, fact.asked, fact.value,
                                        fact.unit, unit.table->bundle}) {
          csv += csv_cell(cell) + ",";
        }
        csv += (fact.split == Split::train ? "train," : "validation,") + csv_cell(held_name) + "\n";
      }
    }
  }
  return csv;
}

}  // namespace boreal::prep
