#include "text/split.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "text/scanners.h"

namespace boreal::text {

namespace {

using Regexes = std::span<const std::string_view>;

// The first is the one that we write.
constexpr std::array<std::string_view, 4> kGpt2 = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)"};
constexpr std::array<std::string_view, 1> kWords = {R"([\p{L}\p{M}]+|[^\p{L}\p{M}])"};
// Not tiktoken's latest, with \p{N}{1,3}+ and \s++$: the first is another thing to Oniguruma, which
// tokenizer.json is written for, and the second keeps blanks after a last line end with it.
constexpr std::array<std::string_view, 2> kCl100k = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kQwen2 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
#define BOREAL_O200K_WORDS                                                          \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" \
  R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"                                               \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" \
  R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|)"
constexpr std::array<std::string_view, 2> kO200k = {
    BOREAL_O200K_WORDS R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    BOREAL_O200K_WORDS R"( ?[^\s\p{L}\p{N}]+[\r\n\/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 3> kDeepSeek = {
    R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

struct Known {
  SplitPattern pattern;
  std::string_view name;
  Regexes regexes;    // of one spelling
  Regexes spellings;  // where one expression is all of it
};
constexpr std::array<Known, 8> kKnown = {{
    {SplitPattern::whole, "whole", {}, {}},
    {SplitPattern::gpt2, "gpt2", Regexes(kGpt2).first(1), kGpt2},
    {SplitPattern::words, "words", kWords, kWords},
    {SplitPattern::cl100k, "cl100k", Regexes(kCl100k).first(1), kCl100k},
    {SplitPattern::qwen2, "qwen2", kQwen2, kQwen2},
    {SplitPattern::o200k, "o200k", Regexes(kO200k).first(1), kO200k},
    {SplitPattern::deepseek, "deepseek", kDeepSeek, {}},
    {SplitPattern::starcoder, "starcoder", {}, {}},
}};

const Known& known(SplitPattern pattern) {
  for (const Known& entry : kKnown) {
    if (entry.pattern == pattern) return entry;
  }
  CHECK(false, "pattern {}", static_cast<int>(pattern));
}

// Some files hold the line ends of a set themselves, not their escapes.
std::string with_escapes(std::string_view regex) {
  std::string out;
  for (const char c : regex) {
    if (c == '\r' || c == '\n')
      out += c == '\r' ? "\\r" : "\\n";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string_view name_of(SplitPattern pattern) {
  return known(pattern).name;
}
std::span<const std::string_view> regexes_of(SplitPattern pattern) {
  return known(pattern).regexes;
}

std::string split_pattern_names() {
  std::string names;
  for (const Known& entry : kKnown) names.append(names.empty() ? "" : ", ").append(entry.name);
  return names;
}

std::optional<SplitPattern> split_pattern_named(std::string_view name) {
  if (name == "llama3") return SplitPattern::cl100k;
  for (const Known& entry : kKnown) {
    if (entry.name == name) return entry.pattern;
  }
  return std::nullopt;
}

std::optional<SplitPattern> split_pattern_of_regexes(const std::vector<std::string>& regexes) {
  std::vector<std::string> escaped;
  for (const std::string& regex : regexes) escaped.push_back(with_escapes(regex));
  for (const Known& entry : kKnown) {
    if (escaped.empty()) break;
    if (std::equal(escaped.begin(), escaped.end(), entry.regexes.begin(), entry.regexes.end()))
      return entry.pattern;
    const auto found = std::find(entry.spellings.begin(), entry.spellings.end(), escaped[0]);
    if (escaped.size() == 1 && found != entry.spellings.end()) return entry.pattern;
  }
  return std::nullopt;
}

std::size_t piece_end(SplitPattern pattern, std::string_view text, std::size_t begin) {
  return with_scanner(pattern, [&](auto scanner) { return scanner.end(text, begin); });
}

}  // namespace boreal::text
