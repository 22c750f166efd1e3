// The scanner of cl100k's pattern, which Llama 3 shares, and of Qwen 2's, where each digit is a
// piece. Says where the piece ends that begins at `begin` < text.size(). Thread rule: pure
// functions.
#pragma once

#include "text/scan.h"

namespace boreal::text::scan {

template <int kDigitsMax>
struct Cl100k {
  static std::size_t end(std::string_view text, std::size_t begin) {
    const Char c = char_at(text, begin);
    const std::size_t next = begin + c.size_bytes;
    if (holds(kLetter, c.cls)) return run_end<kLetter>(text, next);
    if (holds(kNumber, c.cls)) return digits_end(text, begin, kDigitsMax);
    if (text[begin] == '\'') {
      if (const std::size_t size = any_case_contraction(text, begin); size > 0) return begin + size;
    }
    // Any other character but a line end may lead a word, and a blank may lead symbols.
    std::size_t at = next;
    if (next < text.size()) {
      const Char second = char_at(text, next);
      if (holds(kLetter, second.cls) && !is_line_end(text[begin]))
        return run_end<kLetter>(text, next + second.size_bytes);
      if (text[begin] == ' ' && holds(kOther, second.cls)) at = next + second.size_bytes;
    }
    if (holds(kSpace, c.cls) && at == next) {
      const std::size_t end = run_end<kSpace>(text, next);
      return lines_or_blanks_end(text, begin, end, end == text.size());
    }
    return line_ends_end(text, run_end<kOther>(text, at));
  }
};

}  // namespace boreal::text::scan
