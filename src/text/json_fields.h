// Strict reading of JSON: duplicate and unknown keys, missing ones and wrong types are refused with
// their place. Thread rule: values of one thread. Include in .cc files only (the JSON library is
// heavy).
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace boreal::text {

// Refuses what is no JSON and objects that hold a key twice.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& name);

// The keys of one object. Each is asked for by name; done() refuses those that nobody asked for.
class JsonFields {
 public:
  // `place` is the path of the object, such as "model"; the object outlives the reader.
  static Result<JsonFields> of(const nlohmann::json& value, std::string place);

  // Null if the key is missing or null.
  const nlohmann::json* find(const std::string& key);
  Result<const nlohmann::json*> require(const std::string& key);
  Result<bool> boolean(const std::string& key, bool if_missing);
  Result<bool> boolean(const std::string& key);
  Result<std::string> string(const std::string& key);
  Status done() const;

  std::string place_of(const std::string& key) const;

 private:
  JsonFields(const nlohmann::json& object, std::string place)
      : object_(&object), place_(std::move(place)) {}
  const nlohmann::json* object_;
  std::string place_;
  std::set<std::string> asked_;
};

}  // namespace boreal::text
