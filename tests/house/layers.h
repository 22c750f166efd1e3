// The allowed include edges of src/, as layers.txt writes them, and the edges that the sources
// have. Thread rule: values, any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tests/house/source.h"

namespace boreal::house {

// folder -> folders it includes. Every folder may include itself and base, which are not listed.
using Edges = std::map<std::string, std::set<std::string>>;

// Refuses a folder named twice, and one that includes a folder which is not listed above it: the
// file reads bottom to top, so it cannot describe a cycle.
Result<Edges> parse_layers(std::string_view text);

// One sentence for every include in src/ that `allowed` does not have, for every quoted include
// that does not start with a folder of src/, and for every folder of src/ that `allowed` does not
// know.
std::vector<std::string> forbidden_edges(const Edges& allowed, const std::vector<Source>& sources);

// The edges that the sources have, whether allowed or not.
Edges edges_of(const std::vector<Source>& sources);

// A path a -> b -> ... -> a in the edges, or nothing.
std::vector<std::string> find_cycle(const Edges& edges);

}  // namespace boreal::house
