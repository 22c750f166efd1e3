#include "corpus/families.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "spec/node.h"

namespace boreal::corpus {

namespace {

constexpr std::string_view kName = "{name}";
constexpr std::string_view kProperty = "{property}";
constexpr std::string_view kValue = "{value}";
constexpr std::string_view kUnit = "{unit}";

std::size_t occurrences(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

void replace(std::string& text, std::string_view word, std::string_view by) {
  text.replace(text.find(word), word.size(), by);
}

bool holds_letters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c >= 0x80; });
}

Status check_placeholders(std::string_view pattern, const std::string& where) {
  for (const auto& [word, most] : {std::pair{kName, 1}, {kProperty, 1}, {kValue, 1}, {kUnit, 1}}) {
    const std::size_t count = occurrences(pattern, word);
    const bool needed = word != kUnit;
    if ((needed && count != 1) || count > static_cast<std::size_t>(most)) {
      return wrong_usage("{}: {} stands {} times in the pattern '{}', expected {}", where, word,
                         count, pattern, needed ? "once" : "at most once");
    }
  }
  for (auto at = pattern.find('{'); at != std::string_view::npos; at = pattern.find('{', at + 1)) {
    const std::string_view rest = pattern.substr(at);
    if (rest.starts_with(kName) || rest.starts_with(kProperty) || rest.starts_with(kValue) ||
        rest.starts_with(kUnit)) {
      continue;
    }
    return wrong_usage(
        "{}: the pattern '{}' holds '{}'; known are {{name}}, {{property}}, {{value}}, {{unit}}",
        where, pattern, rest.substr(0, rest.find('}') + 1));
  }
  if (pattern.find('\n') != std::string_view::npos) {
    return wrong_usage("{}: the pattern '{}' holds a line break, which ends an answer", where,
                       pattern);
  }
  return Done{};
}

Result<std::vector<Family>> read_list(const spec::Node& list) {
  std::vector<Family> families;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const spec::Node entry = list.at(i);
    RETURN_IF_ERROR(entry.allow_only({"name", "pattern"}));
    const auto name = entry.find("name");
    const auto pattern = entry.find("pattern");
    if (!name || !pattern)
      return wrong_usage("{}: a family has a name and a pattern", entry.where());
    ASSIGN_OR_RETURN(const std::string name_text, name->as_string("name"));
    ASSIGN_OR_RETURN(const std::string pattern_text, pattern->as_string("pattern"));
    ASSIGN_OR_RETURN(Family family, Family::parse(name_text, pattern_text, pattern->where()));
    families.push_back(std::move(family));
  }
  return families;
}

Status check_distinct(const Families& families, const std::string& path) {
  std::set<std::string> names;
  std::set<std::string> patterns;
  for (const auto* list : {&families.trained, &families.styles}) {
    for (const Family& family : *list) {
      if (!names.insert(family.name()).second) {
        return wrong_usage("{}: two families are called '{}'", path, family.name());
      }
      if (!patterns.insert(family.pattern()).second) {
        return wrong_usage("{}: two families have the pattern '{}'", path, family.pattern());
      }
    }
  }
  return Done{};
}

}  // namespace

Result<Family> Family::parse(const std::string& name, std::string_view pattern,
                             const std::string& where) {
  RETURN_IF_ERROR(check_placeholders(pattern, where));
  const std::size_t value_at = pattern.find(kValue);
  if (value_at < pattern.find(kName) || value_at < pattern.find(kProperty)) {
    return wrong_usage(
        "{}: in '{}' the value stands before the name or the property; what is before the value is "
        "the prompt",
        where, pattern);
  }
  Family family;
  family.name_ = name;
  family.pattern_ = pattern;
  family.before_ = pattern.substr(0, value_at);
  std::string_view rest = pattern.substr(value_at + kValue.size());
  const std::size_t unit_at = rest.find(kUnit);
  if (unit_at != std::string_view::npos) {
    family.between_ = rest.substr(0, unit_at);
    rest.remove_prefix(unit_at + kUnit.size());
  }
  family.after_ = rest;
  if (holds_letters(family.between_) || holds_letters(family.after_)) {
    return wrong_usage("{}: in '{}' words follow the value; only the unit and punctuation may",
                       where, pattern);
  }
  return family;
}

Family::Filled Family::fill(std::string_view name, std::string_view property,
                            std::string_view value, std::string_view unit) const {
  Filled filled;
  filled.text = before_;
  // The later placeholder first: a name that itself looks like a placeholder is not filled again.
  const bool name_first = before_.find(kName) < before_.find(kProperty);
  if (name_first) {
    replace(filled.text, kProperty, property);
    replace(filled.text, kName, name);
  } else {
    replace(filled.text, kName, name);
    replace(filled.text, kProperty, property);
  }
  filled.answer.begin = filled.text.size();
  filled.text += value;
  if (!unit.empty() && pattern_.find(kUnit) != std::string::npos) {
    filled.text += between_;
    filled.text += unit;
  }
  filled.text += after_;
  filled.answer.end = filled.text.size();
  return filled;
}

Result<Families> load_families(Env& env, const std::string& path) {
  ASSIGN_OR_RETURN(const spec::Node root, spec::Node::parse_file(env, path));
  RETURN_IF_ERROR(root.allow_only({"families", "styles", "other_names"}));
  Families families;
  if (const auto list = root.find("families")) {
    ASSIGN_OR_RETURN(families.trained, read_list(*list));
  }
  if (const auto list = root.find("styles")) {
    ASSIGN_OR_RETURN(families.styles, read_list(*list));
  }
  if (const auto share = root.find("other_names")) {
    ASSIGN_OR_RETURN(families.other_names, share->as_double("other_names"));
    if (!(families.other_names >= 0 && families.other_names <= 1)) {
      return wrong_usage("{}: other_names is {}, expected a share from 0 to 1", share->where(),
                         families.other_names);
    }
  }
  if (families.trained.size() < 2) {
    return wrong_usage("{}: {} families; at least 2 are needed, so that one can be held out", path,
                       families.trained.size());
  }
  RETURN_IF_ERROR(check_distinct(families, path));
  return families;
}

Rotation::Rotation(std::size_t families, std::int64_t heldout_every)
    : families_(families), heldout_every_(static_cast<std::size_t>(heldout_every)) {
  CHECK_GE(families, 2U);
  CHECK_GE(heldout_every, 0);
  CHECK_NE(heldout_every, 1);
}

void Rotation::add(const std::string& property) {
  number_of_.emplace(property, number_of_.size());
}

std::optional<std::size_t> Rotation::heldout(const std::string& property) const {
  const auto found = number_of_.find(property);
  CHECK(found != number_of_.end(), "property '{}' was never numbered", property);
  if (heldout_every_ == 0 || number_of_.size() < 2) return std::nullopt;
  const std::size_t family = found->second % heldout_every_;
  if (family >= families_) return std::nullopt;
  return family;
}

std::vector<std::size_t> Rotation::trained(const std::string& property) const {
  const auto held = heldout(property);
  std::vector<std::size_t> families;
  for (std::size_t i = 0; i < families_; ++i) {
    if (held != i) families.push_back(i);
  }
  return families;
}

}  // namespace boreal::corpus
