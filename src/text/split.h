// How text is cut into pieces before BPE: hand-written scanners of the patterns we know, linear in
// the text. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace boreal::text {

enum class SplitPattern {
  // All of the text is one piece.
  whole,
  // GPT-2's pattern (Radford et al. 2019): contractions, and runs of letters, of numbers and of
  // other characters, each with the
  // blank in front of it; blanks.
  gpt2,
  // Runs of letters with their marks; every other character, each digit and each blank too, is a
  // piece of its own. What stands
  // around a name never changes its ids.
  words,
  // GPT-4's and Llama 3's: contractions in any case, words with one character in front that is no
  // letter, up to three digits, symbols with the line ends behind them, blanks up to a line end.
  cl100k,
  // Qwen 2's, 2.5's and 3's: as cl100k, each digit by itself.
  qwen2,
  // GPT-4o's: as cl100k, and words are cut before an upper-case letter that follows a lower-case
  // one, marks belong to words, contractions to the word before them.
  o200k,
  // DeepSeek V3's: numbers, then Chinese and Japanese, then all else, each cut by itself.
  deepseek,
  // StarCoder's: each digit by itself, and what lies between as GPT-2.
  starcoder,
};

// "whole", "gpt2", "words", "cl100k", ...: the spelling of specs. "llama3" is another name of
// cl100k.
std::string_view name_of(SplitPattern pattern);
std::optional<SplitPattern> split_pattern_named(std::string_view name);
// All names, joined by commas.
std::string split_pattern_names();

// The regular expressions of tokenizer.json, applied one after another; none for `whole` and
// `starcoder`, which it spells in other ways.
std::span<const std::string_view> regexes_of(SplitPattern pattern);
// Other spellings that mean the same are known too.
std::optional<SplitPattern> split_pattern_of_regexes(const std::vector<std::string>& regexes);

// Where the piece that begins at `begin` < text.size() ends. Cutting from 0 on covers the text.
std::size_t piece_end(SplitPattern pattern, std::string_view text, std::size_t begin);

}  // namespace boreal::text
