// What no table knows alone: names that stand for one record, the numbers of the properties and
// with them the families held out, the chosen facts. A function of all tables; every rank computes
// it. Thread rule: values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "corpus/families.h"
#include "prep/inputs.h"
#include "prep/units.h"
#include "spec/run_spec.h"

namespace boreal::prep {

struct Joined {
  corpus::Families families;
  std::optional<corpus::Rotation> rotation;  // if there are tables
  std::vector<std::string> names;            // all_names
};

// Settles the names of the units' tables and chooses their facts. usage: two tables of one name.
Result<Joined> join_tables(Env& env, const spec::RunSpec& spec, const Inputs& inputs,
                           std::vector<Unit>& units);

// The chosen facts as CSV, each train or validation, with the family held out for it.
std::string facts_csv(const std::vector<Unit>& units, const Joined& joined);

}  // namespace boreal::prep
