// Unicode as tokenizers need it: code points out of bytes that may not be UTF-8, a class for each,
// NFC. The classes are pinned to Unicode 16.0 (unicode_classes.inc), so ids do not depend on the
// host's libraries. Thread rule: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace boreal::text {

// The order is that of unicode_classes.inc.
enum class CharClass : std::uint8_t {
  other,          // controls, unassigned code points
  letter,         // \p{Lm}, \p{Lo}: letters without case
  upper,          // \p{Lu}, \p{Lt}
  lower,          // \p{Ll}
  mark,           // \p{M}
  number,         // \p{Nd}, \p{Nl}
  number_symbol,  // \p{No}: superscripts, fractions
  space,          // White_Space
  word_symbol,    // what \w has of \p{P} and \p{S}: connectors, circled letters
  joiner,         // the rest of \w: U+200C, U+200D
  symbol,         // the rest of \p{P} and \p{S}
};

// \p{L}
inline bool is_letter(CharClass c) {
  return c == CharClass::letter || c == CharClass::upper || c == CharClass::lower;
}

inline bool is_number(CharClass c) {
  return c == CharClass::number || c == CharClass::number_symbol;
}
// \w of Unicode regular expressions.
inline bool is_word(CharClass c) {
  return is_letter(c) || c == CharClass::mark || c == CharClass::number ||
         c == CharClass::word_symbol || c == CharClass::joiner;
}

struct CodePoint {
  static constexpr std::uint32_t kInvalid = 0xffffffffU;
  std::uint32_t value = kInvalid;  // kInvalid: the byte begins no well-formed sequence
  std::uint32_t size_bytes = 1;
};

// The code point at `at` < text.size(). A byte that begins no well-formed UTF-8 stands for itself.
CodePoint code_point_at(std::string_view text, std::size_t at);
// The code point that ends just before `end` > 0.
CodePoint code_point_before(std::string_view text, std::size_t end);

// Class of a code point; invalid bytes are `other`.
CharClass class_of(std::uint32_t code_point);

struct Char {
  CharClass cls = CharClass::other;
  std::uint32_t size_bytes = 1;
};

// The first 128 code points by rule, so that a scanner needs no call for them.
constexpr std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (std::size_t c = 0; c < 128; ++c) {
    if (c > ' ' && c <= '~') classes[c] = CharClass::symbol;
    if (c >= 'a' && c <= 'z') classes[c] = CharClass::lower;
    if (c >= 'A' && c <= 'Z') classes[c] = CharClass::upper;
    if (c >= '0' && c <= '9') classes[c] = CharClass::number;
    if (c == ' ' || (c >= '\t' && c <= '\r')) classes[c] = CharClass::space;
    if (c == '_') classes[c] = CharClass::word_symbol;
  }
  return classes;
}
inline constexpr std::array<CharClass, 128> kAsciiClasses = ascii_classes();

// Class and size of what stands at `at` < text.size().
inline Char char_at(std::string_view text, std::size_t at) {
  const auto lead = static_cast<std::uint8_t>(text[at]);
  if (lead < 0x80) return {kAsciiClasses[lead], 1};
  const CodePoint c = code_point_at(text, at);
  return {class_of(c.value), c.size_bytes};
}

bool is_utf8(std::string_view text);

// Canonical composition. Bytes that are no UTF-8 stay as they are. O(n log n) on any input.
std::string nfc(std::string_view text);
// True only if nfc(text) == text; false means "look closer". Cheap.
bool is_surely_nfc(std::string_view text);

}  // namespace boreal::text
