#include "corpus/select.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/philox.h"

namespace boreal::corpus {

namespace {

// Records of one table on the two sides, each in hash order.
struct Sides {
  std::vector<Record*> train;
  std::vector<Record*> validation;
};

Sides split_records(Table& table, const SelectOptions& options) {
  const std::uint64_t key = mix(mix(options.seed, "split"), table.spec.table);
  std::vector<std::pair<std::uint64_t, Record*>> order;
  for (Record& record : table.records) order.emplace_back(mix(key, record.name), &record);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second->name < b.second->name;
  });
  const auto wanted = static_cast<std::size_t>(
      std::llround(options.validation * static_cast<double>(order.size())));
  // A table that trains on nothing would be asked about all the same.
  const std::size_t kept = std::min(wanted, order.empty() ? 0 : order.size() - 1);
  Sides sides;
  for (std::size_t i = 0; i < order.size(); ++i) {
    (i < kept ? sides.validation : sides.train).push_back(order[i].second);
  }
  return sides;
}

std::int64_t count_facts(const std::vector<Record*>& records) {
  std::int64_t facts = 0;
  for (const Record* record : records) facts += static_cast<std::int64_t>(record->facts.size());
  return facts;
}

void take(const std::vector<Record*>& records, std::int64_t facts, Split split) {
  for (Record* record : records) {
    for (Fact& fact : record->facts) {
      if (facts-- <= 0) return;
      fact.split = split;
    }
  }
}

// `total` facts of the pools (one a table), evenly over bundles, then over the tables of a bundle.
void take_evenly(const std::vector<Table>& tables, const std::vector<std::vector<Record*>>& pools,
                 std::int64_t total, Split split) {
  std::map<std::string, std::vector<std::size_t>> bundles;
  for (std::size_t i = 0; i < tables.size(); ++i) bundles[tables[i].bundle].push_back(i);
  std::vector<std::int64_t> capacity;
  for (const auto& [bundle, members] : bundles) {
    std::int64_t facts = 0;
    for (const std::size_t i : members) facts += count_facts(pools[i]);
    capacity.push_back(facts);
  }
  const auto quota = fill_evenly(capacity, total);
  std::size_t b = 0;
  for (const auto& [bundle, members] : bundles) {
    std::vector<std::int64_t> inner;
    for (const std::size_t i : members) inner.push_back(count_facts(pools[i]));
    const auto share = fill_evenly(inner, quota[b++]);
    for (std::size_t m = 0; m < members.size(); ++m) take(pools[members[m]], share[m], split);
  }
}

}  // namespace

std::vector<std::int64_t> fill_evenly(const std::vector<std::int64_t>& capacity,
                                      std::int64_t total) {
  std::vector<std::size_t> order(capacity.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return capacity[a] < capacity[b]; });
  std::vector<std::int64_t> parts(capacity.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    // The smallest first: what it cannot take is shared by the rest.
    const auto left = static_cast<std::int64_t>(order.size() - i);
    parts[order[i]] = std::min(capacity[order[i]], (total + left - 1) / left);
    total -= parts[order[i]];
  }
  return parts;
}

void select_facts(std::vector<Table>& tables, const SelectOptions& options) {
  std::vector<std::vector<Record*>> train, validation;
  std::int64_t train_facts = 0;
  std::int64_t validation_facts = 0;
  for (Table& table : tables) {
    for (Record& record : table.records) {
      for (Fact& fact : record.facts) fact.split = Split::unused;
    }
    Sides sides = split_records(table, options);
    train_facts += count_facts(sides.train);
    validation_facts += count_facts(sides.validation);
    train.push_back(std::move(sides.train));
    validation.push_back(std::move(sides.validation));
  }
  std::int64_t wanted = train_facts;
  std::int64_t wanted_validation = validation_facts;
  if (options.facts_max > 0 && options.facts_max < train_facts) {
    wanted = options.facts_max;
    const double kept = static_cast<double>(wanted) / static_cast<double>(train_facts);
    wanted_validation = std::llround(kept * static_cast<double>(validation_facts));
  }
  take_evenly(tables, train, wanted, Split::train);
  take_evenly(tables, validation, wanted_validation, Split::validation);
}

}  // namespace boreal::corpus
