// JSON lines: one object a line, with the keys in file order. Refused with file, line and byte: bad
// JSON, a line that is no object, a key twice. Blank lines are skipped. Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace boreal::corpus {

struct JsonField {
  enum class Kind { text, number, boolean, null, nested };
  std::string key;
  std::string text;  // the string; the number as written; "true", "false"; "" for null; "an object"
                     // or "a list"
  Kind kind = Kind::null;
};

struct JsonObject {
  std::int64_t line = 0;  // from 1
  std::vector<JsonField> fields;
};

Result<std::vector<JsonObject>> parse_json_lines(std::string_view text, const std::string& file);

}  // namespace boreal::corpus
