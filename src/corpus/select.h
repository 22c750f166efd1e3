// Which facts a run trains on and which records it keeps for validation. Pure functions of the
// tables and the seed.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/table.h"

namespace boreal::corpus {

struct SelectOptions {
  double validation = 0.05;    // share of the records of each table, as near as whole records come
  std::int64_t facts_max = 0;  // facts trained; 0 = all
  std::uint64_t seed = 1;
};

// Sets Fact::split. All facts of a record are on one side. With facts_max, equal parts go to the
// bundles and within a bundle to its tables (what a small one cannot fill goes to the others); a
// table gives whole records in hash order, the last one cut to the number. Validation is thinned in
// the same proportion.
void select_facts(std::vector<Table>& tables, const SelectOptions& options);

// Splits `total` over parts of at most capacity[i] each, as evenly as they allow.
std::vector<std::int64_t> fill_evenly(const std::vector<std::int64_t>& capacity,
                                      std::int64_t total);

}  // namespace boreal::corpus
