#include "text/split.h"

#include <array>

#include "base/check.h"
#include "text/unicode.h"

namespace boreal::text {

namespace {

struct Known {
  SplitPattern pattern;
  std::string_view name;
  std::string_view regex;
};
constexpr std::array<Known, 3> kKnown = {{
    {SplitPattern::whole, "whole", ""},
    {SplitPattern::gpt2, "gpt2",
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitPattern::words, "words", R"([\p{L}\p{M}]+|[^\p{L}\p{M}])"},
}};

const Known& known(SplitPattern pattern) {
  for (const Known& entry : kKnown) {
    if (entry.pattern == pattern) return entry;
  }
  CHECK(false, "pattern {}", static_cast<int>(pattern));
}

// The end of the longest run from `at` on of characters that `belongs` accepts.
template <class Belongs>
std::size_t run_end(std::string_view text, std::size_t at, Belongs belongs) {
  while (at < text.size()) {
    const Char c = char_at(text, at);
    if (!belongs(c.cls)) break;
    at += c.size_bytes;
  }
  return at;
}

// Length of the contraction that begins with the apostrophe at `at`, 0 if none.
std::size_t contraction_size(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at + 1, 2);
  if (rest.empty()) return 0;
  if (std::string_view("stmd").find(rest[0]) != std::string_view::npos) return 2;
  return rest == "re" || rest == "ve" || rest == "ll" ? 3 : 0;
}

// Blanks up to the end of the text are one piece; blanks before something else leave it their last
// one.
std::size_t blanks_end(std::string_view text, std::size_t begin) {
  std::size_t last = begin;
  std::size_t at = begin;
  while (at < text.size()) {
    const Char c = char_at(text, at);
    if (c.cls != CharClass::space) return last > begin ? last : at;
    last = at;
    at += c.size_bytes;
  }
  return at;
}

std::size_t gpt2_end(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    if (const std::size_t size = contraction_size(text, begin); size > 0) return begin + size;
  }
  std::size_t at = begin + (text[begin] == ' ' ? 1 : 0);
  if (at == text.size()) return at;
  const CharClass first = char_at(text, at).cls;
  if (first == CharClass::space) return blanks_end(text, begin);
  if (first == CharClass::letter) {
    return run_end(text, at, [](CharClass c) { return c == CharClass::letter; });
  }
  if (is_number(first)) return run_end(text, at, is_number);
  return run_end(text, at, [](CharClass c) {
    return c != CharClass::space && c != CharClass::letter && !is_number(c);
  });
}

std::size_t words_end(std::string_view text, std::size_t begin) {
  const auto belongs = [](CharClass c) { return c == CharClass::letter || c == CharClass::mark; };
  const Char first = char_at(text, begin);
  if (!belongs(first.cls)) return begin + first.size_bytes;
  return run_end(text, begin + first.size_bytes, belongs);
}

}  // namespace

std::string_view name_of(SplitPattern pattern) {
  return known(pattern).name;
}
std::string_view regex_of(SplitPattern pattern) {
  return known(pattern).regex;
}

std::optional<SplitPattern> split_pattern_named(std::string_view name) {
  for (const Known& entry : kKnown) {
    if (entry.name == name) return entry.pattern;
  }
  return std::nullopt;
}

std::optional<SplitPattern> split_pattern_of_regex(std::string_view regex) {
  for (const Known& entry : kKnown) {
    if (!entry.regex.empty() && entry.regex == regex) return entry.pattern;
  }
  return std::nullopt;
}

std::size_t piece_end(SplitPattern pattern, std::string_view text, std::size_t begin) {
  switch (pattern) {
    case SplitPattern::whole: return text.size();
    case SplitPattern::gpt2: return gpt2_end(text, begin);
    case SplitPattern::words: return words_end(text, begin);
  }
  return text.size();
}

}  // namespace boreal::text
