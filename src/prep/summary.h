// SourceSummary: out of a unit, added up, and as JSON for the ranks that did not make the unit.
// PrepSummary as JSON is prep.h's. Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "prep/prep.h"
#include "prep/units.h"

namespace boreal::prep {

// All but documents, tokens and prefixes.
void describe(const Unit& unit, SourceSummary& source);

// The sums over summary.sources.
void add_up(PrepSummary& summary);

// One line, without its end.
std::string to_json(const SourceSummary& source);
std::optional<SourceSummary> source_from_json(std::string_view text);

}  // namespace boreal::prep
