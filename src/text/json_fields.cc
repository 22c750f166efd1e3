#include "text/json_fields.h"

#include <algorithm>
#include <vector>

namespace boreal::text {

using nlohmann::json;

Result<json> parse_json(std::string_view text, const std::string& name) {
  std::vector<std::vector<std::string>> open;  // the keys of each object under way
  std::string twice;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::key) open.back().push_back(parsed.get_ref<std::string&>());
    if (event == json::parse_event_t::object_end) {
      std::sort(open.back().begin(), open.back().end());
      const auto same = std::adjacent_find(open.back().begin(), open.back().end());
      if (same != open.back().end()) twice = *same;
      open.pop_back();
    }
    return true;
  };
  try {
    json value = json::parse(text, watch);
    if (!twice.empty())
      return refused("{}: the key \"{}\" stands twice in one object", name, twice);
    return value;
  } catch (const json::exception& e) {
    return refused("{}: not JSON ({}); was the file cut short?", name, e.what());
  }
}

Result<JsonFields> JsonFields::of(const json& value, std::string place) {
  if (!value.is_object()) return refused("{} is {}, an object is wanted", place, value.type_name());
  return JsonFields(value, std::move(place));
}

std::string JsonFields::place_of(const std::string& key) const {
  return place_.empty() ? key : place_ + "." + key;
}

const json* JsonFields::find(const std::string& key) {
  asked_.insert(key);
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

Result<const json*> JsonFields::require(const std::string& key) {
  const json* const value = find(key);
  if (value == nullptr) return refused("{} is missing", place_of(key));
  return value;
}

Result<bool> JsonFields::boolean(const std::string& key, bool if_missing) {
  return find(key) == nullptr ? Result<bool>(if_missing) : boolean(key);
}

Result<bool> JsonFields::boolean(const std::string& key) {
  ASSIGN_OR_RETURN(const json* value, require(key));
  if (!value->is_boolean()) {
    return refused("{} is {}, true or false is wanted", place_of(key), value->type_name());
  }
  return value->get<bool>();
}

Result<std::string> JsonFields::string(const std::string& key) {
  ASSIGN_OR_RETURN(const json* value, require(key));
  if (!value->is_string()) {
    return refused("{} is {}, a string is wanted", place_of(key), value->type_name());
  }
  return value->get<std::string>();
}

Status JsonFields::done() const {
  for (const auto& [key, value] : object_->items()) {
    if (!asked_.contains(key)) {
      return refused("{} is a part of tokenizer.json that boreal does not have", place_of(key));
    }
  }
  return Done{};
}

}  // namespace boreal::text
