// A unit of prep is one source, and one rank makes what comes of it. Reading one is a pure function
// of its files and the spec; what joins the units (names over all tables, duplicates over all
// documents, the tokenizer) happens between reading and writing. Thread rule: values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "corpus/document.h"
#include "corpus/drop_log.h"
#include "corpus/families.h"
#include "corpus/table.h"
#include "prep/inputs.h"
#include "text/tokenizer.h"

namespace boreal::prep {

// Documents that belong together: the cards of one record, or one document of prose.
struct Group {
  std::string name;  // decides the place of the group
  std::vector<corpus::Document> documents;
};

struct Unit {
  Input input;
  std::int64_t read = 0;
  std::optional<corpus::Table> table;  // of a table source
  std::vector<Group> groups;           // of prose at once, of a table after make_groups
  corpus::DropLog dropped;
};

// Empty for sources that are tokens already.
Result<Unit> read_unit(Env& env, const spec::RunSpec& spec, const Input& input);

// Cards of a table's chosen facts. Without a tokenizer documents are not bounded.
void make_groups(Unit& unit, const spec::RunSpec& spec, const corpus::Families& families,
                 const corpus::Rotation& rotation, const text::Tokenizer* tokenizer);

// Of each document, in the order of the groups, what tells whether another says the same.
struct TextKey {
  std::string key;  // Dedup::key_of
  bool validation = false;
};
std::vector<TextKey> text_keys(const Unit& unit);

// Leaves the documents where `keep` is true, one entry for each; the others are exact duplicates.
void drop_duplicates(Unit& unit, const std::vector<bool>& keep);

// The documents of one side in the order in which they are written. Groups are dealt into kStrata
// strata by hash; the strata follow one another, each shuffled by the hash of the text. So the
// first share of a shard holds all cards of the same share of the records (what data.warm_records
// asks for), and neighbours are of different records.
constexpr std::size_t kStrata = 20;
std::vector<const corpus::Document*> shard_order(const std::vector<Group>& groups, bool validation,
                                                 std::uint64_t seed);

}  // namespace boreal::prep
