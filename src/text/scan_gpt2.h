// The scanners of GPT-2's pattern, of StarCoder's (each digit cut out before it) and of `words`.
// Each says where the piece ends that begins at `begin` < text.size(). Thread rule: pure functions.
#pragma once

#include "text/scan.h"

namespace boreal::text::scan {

// 's|'t|'re|'ve|'m|'ll|'d at the apostrophe `at`: its length, 0 if it is none.
inline std::size_t contraction(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at + 1, 2);
  if (rest.empty()) return 0;
  if (rest[0] == 's' || rest[0] == 't' || rest[0] == 'm' || rest[0] == 'd') return 2;
  return rest == "re" || rest == "ve" || rest == "ll" ? 3 : 0;
}

// kStops: text ends before a character of these, so that it joins nothing and blanks before it are
// whole.
template <ClassSet kStops>
std::size_t gpt2_end(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    if (const std::size_t size = contraction(text, begin); size > 0) return begin + size;
  }
  const std::size_t at = begin + (text[begin] == ' ' ? 1 : 0);
  if (at == text.size()) return at;
  const Char c = char_at(text, at);
  if (holds(kStops, c.cls)) return at > begin ? at : at + c.size_bytes;
  if (holds(kLetter, c.cls)) return run_end<kLetter>(text, at + c.size_bytes);
  if (holds(kOther, c.cls)) return run_end<kOther>(text, at + c.size_bytes);
  if (holds(kNumber, c.cls)) return run_end<kNumber>(text, at + c.size_bytes);
  const std::size_t end = run_end<kSpace>(text, at + c.size_bytes);
  return blanks_end(text, begin, end, end == text.size() || holds(kStops, char_at(text, end).cls));
}

struct Gpt2 {
  static std::size_t end(std::string_view text, std::size_t begin) {
    return gpt2_end<0>(text, begin);
  }
};

struct StarCoder {
  static std::size_t end(std::string_view text, std::size_t begin) {
    return gpt2_end<kNumber>(text, begin);
  }
};

struct Words {
  static std::size_t end(std::string_view text, std::size_t begin) {
    const Char first = char_at(text, begin);
    const std::size_t at = begin + first.size_bytes;
    return holds(kLetter | kMark, first.cls) ? run_end<kLetter | kMark>(text, at) : at;
  }
};

struct Whole {
  static std::size_t end(std::string_view text, std::size_t) { return text.size(); }
};

}  // namespace boreal::text::scan
