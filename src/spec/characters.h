// Which bytes a spec may hold, and how text is shown in messages. Checked here since yaml-cpp
// replaces invalid UTF-8 in silence and takes a 0x04 for the end of the file. Thread rule: pure
// functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace boreal::spec {

// Length of the UTF-8 character at the start of text (not empty); 0 if there is none: overlong,
// surrogate, above U+10FFFF, cut.
std::size_t character_length(std::string_view text);

bool is_utf8(std::string_view text);

// Text in quotes for a message: cut to 60 bytes at a character, control characters escaped.
std::string in_quotes(std::string_view text);

// Error of kind usage, "name:line: ...", at the first byte that YAML may not hold: invalid UTF-8, a
// control character.
Status check_characters(std::string_view text, std::string_view name);

}  // namespace boreal::spec
