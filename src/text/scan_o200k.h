// The scanner of o200k's pattern. Says where the piece ends that begins at `begin` < text.size().
// Thread rule: pure functions.
#pragma once

#include "text/scan.h"

namespace boreal::text::scan {

struct O200k {
  // Marks and letters without case go with both.
  static constexpr ClassSet kBoth = set_of(CharClass::letter, CharClass::mark);
  static constexpr ClassSet kUpper = kBoth | set_of(CharClass::upper);
  static constexpr ClassSet kLower = kBoth | set_of(CharClass::lower);

  static std::size_t end(std::string_view text, std::size_t begin) {
    const Char c = char_at(text, begin);
    const std::size_t next = begin + c.size_bytes;
    if (holds(kNumber, c.cls)) return digits_end(text, begin, 3);
    if (!is_line_end(text[begin])) {
      if (const std::size_t end = word_end(text, begin, c); end > begin)
        return with_contraction(text, end);
    }
    std::size_t at = next;
    if (text[begin] == ' ' && next < text.size()) {
      const Char second = char_at(text, next);
      if (holds(kOther, second.cls)) at = next + second.size_bytes;
    }
    if (holds(kSpace, c.cls) && at == next) {
      const std::size_t end = run_end<kSpace>(text, next);
      return lines_or_blanks_end(text, begin, end, end == text.size());
    }
    at = run_end<kOther>(text, at);
    while (at < text.size() && (is_line_end(text[at]) || text[at] == '/')) ++at;
    return at;
  }

 private:
  // The first two alternatives but for the contraction; `begin` if neither matches. Let U be upper,
  // B both, L lower case. The first wants [UB]*[LB]+: after the longest [UB]* it goes on with
  // lower case, or else gives back what stands behind the last B. The second is for U alone.
  static std::size_t word_end(std::string_view text, std::size_t begin, Char c) {
    // What leads the word is no letter, but may be a mark.
    const std::size_t from = holds(kLetter, c.cls) ? begin : begin + c.size_bytes;
    const std::size_t run = run_end<kUpper>(text, from);
    if (run < text.size()) {
      const Char lower = char_at(text, run);
      if (lower.cls == CharClass::lower) return run_end<kLower>(text, run + lower.size_bytes);
    }
    for (std::size_t at = run; at > from;) {
      const std::size_t before = last_begin(text, at);
      if (holds(kBoth, char_at(text, before).cls)) return at;
      at = before;
    }
    if (c.cls == CharClass::mark) return from;
    return run > from ? run : begin;
  }

  static std::size_t with_contraction(std::string_view text, std::size_t at) {
    return at < text.size() && text[at] == '\'' ? at + any_case_contraction(text, at) : at;
  }
};

}  // namespace boreal::text::scan
