// The scanner of DeepSeek V3's three patterns, one after another: up to three digits; runs of
// Chinese and Japanese; words, symbols and blanks in what lies between. Says where the piece ends
// that begins at `begin` < text.size(). Thread rule: pure functions.
#pragma once

#include "text/scan.h"

namespace boreal::text::scan {

struct DeepSeek {
  static std::size_t end(std::string_view text, std::size_t begin) {
    const Char c = char_at(text, begin);
    if (holds(kNumber, c.cls)) return digits_end(text, begin, 3);
    const bool asian = is_asian(text, begin);
    const std::size_t next = begin + c.size_bytes;
    const bool alone = ends_at(text, next, asian);
    const Char second = alone ? Char{} : char_at(text, next);
    if (!alone && is_punctuation(text[begin]) && is_ascii_letter(text[next]))
      return ascii_run_end<kLetter>(text, next);
    if (holds(kWord, c.cls)) return stretch_end<kWord>(text, next, asian);
    const bool symbol = holds(kSymbol, c.cls);
    if (!alone && !symbol && !is_line_end(text[begin]) && holds(kWord, second.cls))
      return stretch_end<kWord>(text, next, asian);
    if (symbol || (text[begin] == ' ' && !alone && holds(kSymbol, second.cls))) {
      const std::size_t end = stretch_end<kSymbol>(text, next, asian);
      return asian ? end : line_ends_end(text, end);
    }
    if (holds(kSpace, c.cls)) {
      const std::size_t end = run_end<kSpace>(text, next);
      return lines_or_blanks_end(text, begin, end, ends_at(text, end, asian));
    }
    return unmatched_end(text, next, asian);
  }

 private:
  static constexpr ClassSet kWord = kLetter | kMark;  // [\p{L}\p{M}]

  static bool is_punctuation(char c) {
    return static_cast<std::uint8_t>(c) < 0x80 &&
           holds(kSymbol, kAsciiClasses[static_cast<std::uint8_t>(c)]);
  }
  static bool is_ascii_letter(char c) {
    return static_cast<std::uint8_t>(c) < 0x80 &&
           holds(kLetter, kAsciiClasses[static_cast<std::uint8_t>(c)]);
  }
  // Whether the second pattern has the character.
  static bool is_asian(std::string_view text, std::size_t at) {
    if (is_ascii(text, at)) return false;
    const std::uint32_t c = code_point_at(text, at).value;
    return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x4e00 && c <= 0x9fa5);
  }
  // Whether the stretch that the third pattern sees ends before `at`.
  static bool ends_at(std::string_view text, std::size_t at, bool asian) {
    return at == text.size() || holds(kNumber, char_at(text, at).cls) ||
           is_asian(text, at) != asian;
  }
  // run_end() within the stretch.
  template <ClassSet kSet>
  static std::size_t stretch_end(std::string_view text, std::size_t at, bool asian) {
    for (;;) {
      if (!asian) at = ascii_run_end<kSet>(text, at);
      if (at == text.size() || is_ascii(text, at) || is_asian(text, at) != asian) return at;
      const Char c = char_at(text, at);
      if (!holds(kSet, c.cls)) return at;
      at += c.size_bytes;
    }
  }
  // Controls that lead no word match nothing and stay together.
  static std::size_t unmatched_end(std::string_view text, std::size_t at, bool asian) {
    while (!ends_at(text, at, asian)) {
      const Char c = char_at(text, at);
      if (holds(kWord | kSymbol | kSpace, c.cls)) return at;
      const std::size_t next = at + c.size_bytes;
      if (!ends_at(text, next, asian) && holds(kWord, char_at(text, next).cls)) return at;
      at = next;
    }
    return at;
  }
};

}  // namespace boreal::text::scan
