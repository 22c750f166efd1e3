// Finds added tokens in text: from the left, the longest at each place, none overlapping (as
// Hugging Face tokenizers, so that ids agree). A match that a token's rules reject (single_word, or
// a special token while those are text) still uses up its bytes. One that begins in blanks which
// the token before it swallowed is no match. Thread rule: const methods from any thread.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer_model.h"

namespace boreal::text {

class AddedTokens {
 public:
  // The tokens with `normalized` as asked. Patterns are their contents, passed through nfc if `nfc`
  // and `normalized`.
  AddedTokens(std::span<const AddedToken> tokens, bool normalized, bool nfc);

  struct Segment {
    std::size_t begin = 0;
    std::size_t end = 0;
    TokenId id = kText;
  };
  static constexpr TokenId kText = -1;
  // Segments in order, none empty, that cover the text.
  std::vector<Segment> split(std::string_view text, bool parse_special) const;

 private:
  struct Node {
    std::vector<std::pair<char, std::uint32_t>> next;
    std::int32_t token = -1;  // index into tokens_
  };
  struct Found {
    std::size_t end = 0;
    std::int32_t token = -1;
  };
  void insert(const std::string& pattern, std::int32_t token);
  Found longest_at(std::string_view text, std::size_t begin) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  bool only_special_ = true;
  std::array<bool, 256> begins_{};  // whether a pattern begins with the byte
};

}  // namespace boreal::text
