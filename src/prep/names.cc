#include "prep/names.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace boreal::prep {

bool same_ids_everywhere(const text::Tokenizer& tokenizer, std::string_view name) {
  const auto alone = tokenizer.encode(name);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kPlaces = {
      {{"", " is known."},
       {"One line\n", " | "},
       {"The mass of ", " is known."},
       {"What is ", "?"},
       {"iron (", ")"}}};
  for (const auto& [before, after] : kPlaces) {
    const std::string text = std::string(before) + std::string(name) + std::string(after);
    std::vector<text::TokenId> ids;
    for (const text::TokenSpan& span : tokenizer.encode_spans(text)) {
      // Every token that holds a byte of the name.
      if (span.end > before.size() && span.begin < before.size() + name.size())
        ids.push_back(span.id);
    }
    if (ids != alone) return false;
  }
  return true;
}

std::vector<std::string> all_names(const std::vector<corpus::Table>& tables) {
  std::set<std::string> names;
  for (const corpus::Table& table : tables) {
    for (const corpus::Record& record : table.records) {
      names.insert(record.name);
      names.insert(record.aliases.begin(), record.aliases.end());
      names.insert(record.other_names.begin(), record.other_names.end());
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace boreal::prep
