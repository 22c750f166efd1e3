// Phrasing families: the sentences in which a fact is stated. A pattern holds {name} and
// {property}, then {value}, then {unit} if it likes, so that the text before the value is a prompt
// and the rest is its answer.
//
// Rotation: families are numbered; the property with number p has family (p mod heldout_every) held
// out: that pair is never trained, though the family is trained with other properties. Properties
// are numbered by phrase in order of first appearance over all tables, so two tables that ask for
// the same property hold out the same family. Thread rule: values; const after building.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "corpus/document.h"

namespace boreal::corpus {

class Family {
 public:
  // kind usage, beginning with `where`: a placeholder unknown, missing, twice or out of order,
  // words after the value.
  static Result<Family> parse(const std::string& name, std::string_view pattern,
                              const std::string& where);

  struct Filled {
    std::string text;
    ByteRange answer;  // value, unit and final punctuation: always up to the end of the text
  };
  // An empty unit takes the blank before it along.
  Filled fill(std::string_view name, std::string_view property, std::string_view value,
              std::string_view unit) const;

  const std::string& name() const { return name_; }
  const std::string& pattern() const { return pattern_; }

 private:
  Family() = default;
  std::string name_;
  std::string pattern_;
  std::string before_;   // up to {value}, with {name} and {property}
  std::string between_;  // from {value} to {unit}
  std::string after_;
};

struct Families {
  std::vector<Family> trained;
  std::vector<Family> styles;  // never trained, for evaluation only
  // Share of the facts that are stated once more under another name of the record (alias or
  // identifier).
  double other_names = 0;
};

// Strict YAML: `families` (at least two), `styles`, `other_names`. kind usage.
Result<Families> load_families(Env& env, const std::string& path);

class Rotation {
 public:
  // heldout_every 0: nothing is held out. Requires heldout_every != 1 (families would be lost) and
  // families >= 2.
  Rotation(std::size_t families, std::int64_t heldout_every);

  // Numbers the property if it is new.
  void add(const std::string& property);

  // The family never trained with the property, if any. A single property holds nothing out.
  // Requires add(property) before.
  std::optional<std::size_t> heldout(const std::string& property) const;
  // All other families, ascending.
  std::vector<std::size_t> trained(const std::string& property) const;

 private:
  std::size_t families_;
  std::size_t heldout_every_;
  std::unordered_map<std::string, std::size_t> number_of_;
};

}  // namespace boreal::corpus
