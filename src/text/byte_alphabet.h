// The byte-level alphabet of GPT-2: a printable character for each byte, in which tokenizer.json
// spells its tokens. The bytes 21-7E, A1-AC and AE-FF are spelled as the character of the same
// number, the other 68 as U+0100 and on, in order. Thread rule: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boreal::text {

std::string spell_bytes(std::string_view bytes);
// Nothing if a character of the spelling is not in the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);
// The bytes in the order of their characters: the order in which trainers number them.
const std::array<std::uint8_t, 256>& bytes_by_character();

}  // namespace boreal::text
