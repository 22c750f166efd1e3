// How text is cut into pieces before BPE: hand-written scanners of the patterns we know, linear in
// the text. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

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
};

// "whole", "gpt2", "words": the spelling of specs.
std::string_view name_of(SplitPattern pattern);
std::optional<SplitPattern> split_pattern_named(std::string_view name);

// The regular expression of tokenizer.json; empty for `whole`.
std::string_view regex_of(SplitPattern pattern);
std::optional<SplitPattern> split_pattern_of_regex(std::string_view regex);

// Where the piece that begins at `begin` < text.size() ends. Cutting from 0 on covers the text.
std::size_t piece_end(SplitPattern pattern, std::string_view text, std::size_t begin);

}  // namespace boreal::text
