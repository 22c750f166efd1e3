// What the scanners of split patterns are made of: sets of character classes and the end of a run
// of one. Sixteen ASCII bytes at a time where the processor can (any x86-64-v2), one character
// else. Positions are bytes of the text. Thread rule: pure functions.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/unicode.h"

#if defined(__SSSE3__)
#include <tmmintrin.h>
#endif

namespace boreal::text::scan {

using ClassSet = std::uint32_t;  // bit c: the class of number c

template <class... Class>
constexpr ClassSet set_of(Class... classes) {
  return ((1U << static_cast<std::uint32_t>(classes)) | ...);
}
constexpr bool holds(ClassSet set, CharClass c) {
  return (set >> static_cast<std::uint32_t>(c) & 1U) != 0;
}

// The names of regular expressions.
constexpr ClassSet kLetter =
    set_of(CharClass::letter, CharClass::upper, CharClass::lower);                 // \p{L}
constexpr ClassSet kMark = set_of(CharClass::mark);                                // \p{M}
constexpr ClassSet kNumber = set_of(CharClass::number, CharClass::number_symbol);  // \p{N}
constexpr ClassSet kSpace = set_of(CharClass::space);                              // \s
constexpr ClassSet kSymbol = set_of(CharClass::symbol, CharClass::word_symbol);    // [\p{P}\p{S}]
constexpr ClassSet kOther = ~(kLetter | kNumber | kSpace);  // [^\s\p{L}\p{N}]

inline bool is_ascii(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]) < 0x80;
}
inline bool is_line_end(char c) {
  return c == '\r' || c == '\n';
}

// Bit h of entry l: the ASCII character 16 h + l is in the set.
constexpr std::array<std::uint8_t, 16> ascii_rows(ClassSet set) {
  std::array<std::uint8_t, 16> rows{};
  for (std::size_t c = 0; c < 128; ++c) {
    const std::uint32_t bit = holds(set, kAsciiClasses[c]) ? 1U << (c >> 4) : 0;
    rows[c & 15U] = static_cast<std::uint8_t>(rows[c & 15U] | bit);
  }
  return rows;
}

// The first byte from `at` on that is no ASCII character of the set.
template <ClassSet kSet>
std::size_t ascii_run_end(std::string_view text, std::size_t at) {
#if defined(__SSSE3__)
  static constexpr std::array<std::uint8_t, 16> kRows = ascii_rows(kSet);
  const __m128i rows = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kRows.data()));
  // The bit of a byte's high half; none for what is not ASCII.
  const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  for (; at + 16 <= text.size(); at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    const __m128i in = _mm_and_si128(_mm_shuffle_epi8(rows, bytes), _mm_shuffle_epi8(bits, high));
    const int out = _mm_movemask_epi8(_mm_cmpeq_epi8(in, _mm_setzero_si128()));
    if (out != 0)
      return at + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(out)));
  }
#endif
  while (at < text.size() && is_ascii(text, at) &&
         holds(kSet, kAsciiClasses[static_cast<std::uint8_t>(text[at])]))
    ++at;
  return at;
}

// The end of the longest run from `at` on of characters of the set.
template <ClassSet kSet>
std::size_t run_end(std::string_view text, std::size_t at) {
  for (;;) {
    at = ascii_run_end<kSet>(text, at);
    if (at == text.size() || is_ascii(text, at)) return at;
    const Char c = char_at(text, at);
    if (!holds(kSet, c.cls)) return at;
    at += c.size_bytes;
  }
}

// Where the character that ends at `end` > 0 begins.
inline std::size_t last_begin(std::string_view text, std::size_t end) {
  return is_ascii(text, end - 1) ? end - 1 : end - code_point_before(text, end).size_bytes;
}

// At most so many characters of \p{N}; at least one stands at `begin`.
inline std::size_t digits_end(std::string_view text, std::size_t begin, int count_max) {
  std::size_t at = begin;
  for (int count = 0; count < count_max && at < text.size(); ++count) {
    const Char c = char_at(text, at);
    if (!holds(kNumber, c.cls)) break;
    at += c.size_bytes;
  }
  return at;
}

inline std::size_t line_ends_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_line_end(text[at])) ++at;
  return at;
}

// \s+(?!\S)|\s+ at a run [begin, end) of blanks: whole before the end of the text, or of what
// stands for it; else it leaves the next piece its last one.
inline std::size_t blanks_end(std::string_view text, std::size_t begin, std::size_t end,
                              bool whole) {
  if (whole) return end;
  const std::size_t last = last_begin(text, end);
  return last > begin ? last : end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at such a run.
inline std::size_t lines_or_blanks_end(std::string_view text, std::size_t begin, std::size_t end,
                                       bool whole) {
  std::size_t behind = end;
  while (behind > begin && !is_line_end(text[behind - 1])) --behind;
  return behind > begin ? behind : blanks_end(text, begin, end, whole);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d) at the apostrophe `at`: its length, 0 if it is none. Case folds as
// Unicode says, so U+017F is an s.
inline std::size_t any_case_contraction(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at + 1, 2);
  if (rest.empty()) return 0;
  const char first = static_cast<char>(rest[0] | 0x20);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (rest.size() < 2) return 0;
  if (rest == "\xc5\xbf") return 3;
  const char second = static_cast<char>(rest[1] | 0x20);
  const bool found = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
  return found ? 3 : 0;
}

}  // namespace boreal::text::scan
