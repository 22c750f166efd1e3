#include "prep/eval_items.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/philox.h"

namespace boreal::prep {

namespace {

using corpus::Fact;
using corpus::Family;
using corpus::Record;
using corpus::Split;
using corpus::Table;

std::string value_of(const Fact& fact) {
  return fact.unit.empty() ? fact.value : fact.value + " " + fact.unit;
}

// Values of one (table, asked property), each with one fact that bears it.
struct Values {
  std::map<std::string, std::int64_t> trained;  // value -> trained facts
  std::map<std::string, const Fact*> bearer;    // over the whole table
  std::int64_t facts = 0;                       // trained

  double commonest() const {
    std::int64_t most = 0;
    for (const auto& [value, count] : trained) most = std::max(most, count);
    return facts == 0 ? 0 : static_cast<double>(most) / static_cast<double>(facts);
  }
};

std::map<std::string, Values> values_by_property(const Table& table) {
  std::map<std::string, Values> all;
  for (const Record& record : table.records) {
    for (const Fact& fact : record.facts) {
      Values& values = all[fact.asked];
      values.bearer.emplace(value_of(fact), &fact);
      if (fact.split != Split::train) continue;
      ++values.trained[value_of(fact)];
      ++values.facts;
    }
  }
  return all;
}

// True if the ids of the whole text begin with the ids of the prompt.
bool cuts_at(const text::Tokenizer& tokenizer, const std::string& prompt,
             const std::string& answer) {
  const auto head = tokenizer.encode(prompt);
  const auto whole = tokenizer.encode(prompt + answer);
  return head.size() <= whole.size() && std::equal(head.begin(), head.end(), whole.begin());
}

class ItemMaker {
 public:
  ItemMaker(const corpus::Families& families, const corpus::Rotation& rotation,
            const text::Tokenizer& tokenizer, const EvalOptions& options)
      : families_(families), rotation_(rotation), tokenizer_(tokenizer), options_(options) {}

  void add_table(const Table& table, std::vector<EvalItem>& items) const {
    const auto by_property = values_by_property(table);
    for (const Record& record : table.records) {
      for (const Fact& fact : record.facts) {
        if (fact.split == Split::train)
          add_fact(table, record, fact, by_property.at(fact.asked), items);
      }
    }
  }

 private:
  void add_fact(const Table& table, const Record& record, const Fact& fact, const Values& values,
                std::vector<EvalItem>& items) const {
    const Rng rng(options_.seed, "evaluation",
                  table.spec.table + "\n" + record.name + "\n" + fact.asked);
    const auto item_of = [&](const char* task, const Family& family) {
      EvalItem item;
      item.task = task;
      item.bundle = table.bundle;
      item.table = table.spec.table;
      item.record = record.name;
      item.property = fact.asked;
      item.family = family.name();
      item.commonest = values.commonest();
      const auto filled = family.fill(record.name, fact.asked, fact.value, fact.unit);
      item.prompt = filled.text.substr(0, filled.answer.begin);
      item.answer = filled.text.substr(filled.answer.begin);
      return item;
    };
    const auto trained = rotation_.trained(fact.property);
    for (const std::size_t family : trained) {
      if (!fits(item_of("", families_.trained[family]))) return;
    }
    const auto pick = [&](std::uint64_t draw) -> const Family& {
      return families_.trained[trained[rng.bits(draw) % trained.size()]];
    };
    const auto add = [&](EvalItem item) {
      if (fits(item)) items.push_back(at_token_border(std::move(item)));
    };
    add(item_of("recall_seen", pick(0)));
    if (const auto held = rotation_.heldout(fact.property)) {
      add(item_of("recall_heldout", families_.trained[*held]));
    }
    for (const Family& style : families_.styles) add(item_of("recall_style", style));
    const Family& family = pick(1);
    EvalItem choice = item_of("choice", family);
    if (add_choices(record, fact, values, family, rng, choice)) add(std::move(choice));
  }

  // With the end token, every continuation.
  bool fits(const EvalItem& item) const {
    if (options_.tokens_max == 0) return true;
    const auto within = [&](const std::string& continuation) {
      const auto tokens = tokenizer_.encode(item.prompt + continuation).size() + 1;
      return static_cast<std::int64_t>(tokens) <= options_.tokens_max;
    };
    return within(item.answer) && std::all_of(item.choices.begin(), item.choices.end(), within);
  }

  // False if the table has no three other values.
  static bool add_choices(const Record& record, const Fact& fact, const Values& values,
                          const Family& family, const Rng& rng, EvalItem& item) {
    // (untrained, hash) first: trained values are as familiar as the right one, others would be
    // told by that alone.
    std::vector<std::pair<std::pair<bool, std::uint64_t>, const Fact*>> others;
    for (const auto& [value, bearer] : values.bearer) {
      if (value == value_of(fact)) continue;
      others.push_back({{!values.trained.contains(value), mix(rng.bits(2), value)}, bearer});
    }
    constexpr std::size_t kWrong = 3;
    if (others.size() < kWrong) return false;
    std::stable_sort(others.begin(), others.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < kWrong; ++i) {
      const Fact& other = *others[i].second;
      const auto filled = family.fill(record.name, fact.asked, other.value, other.unit);
      item.choices.push_back(filled.text.substr(filled.answer.begin));
    }
    item.answer_index = rng.bits(3) % (kWrong + 1);
    item.choices.insert(item.choices.begin() + static_cast<std::ptrdiff_t>(item.answer_index),
                        item.answer);
    return true;
  }

  EvalItem at_token_border(EvalItem item) const {
    bool cuts = cuts_at(tokenizer_, item.prompt, item.answer);
    for (const auto& choice : item.choices) cuts = cuts && cuts_at(tokenizer_, item.prompt, choice);
    if (cuts || !item.prompt.ends_with(' ')) return item;
    item.prompt.pop_back();
    item.answer.insert(0, " ");
    for (auto& choice : item.choices) choice.insert(0, " ");
    return item;
  }

  const corpus::Families& families_;
  const corpus::Rotation& rotation_;
  const text::Tokenizer& tokenizer_;
  EvalOptions options_;
};

}  // namespace

std::vector<EvalItem> make_eval_items(const Table& table, const corpus::Families& families,
                                      const corpus::Rotation& rotation,
                                      const text::Tokenizer& tokenizer,
                                      const EvalOptions& options) {
  const ItemMaker maker(families, rotation, tokenizer, options);
  std::vector<EvalItem> items;
  maker.add_table(table, items);
  return items;
}

std::string to_json_line(const EvalItem& item) {
  nlohmann::ordered_json object;
  object["task"] = item.task;
  object["bundle"] = item.bundle;
  object["table"] = item.table;
  object["record"] = item.record;
  object["property"] = item.property;
  object["family"] = item.family;
  object["prompt"] = item.prompt;
  object["answer"] = item.answer;
  object["commonest"] = item.commonest;
  if (!item.choices.empty()) {
    object["choices"] = item.choices;
    object["answer_index"] = item.answer_index;
  }
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace boreal::prep
