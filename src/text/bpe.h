// Byte pair encoding of one piece: of all neighbouring pairs the one of lowest rank is merged
// first, the leftmost of equal ones, until no pair is left that merges (Sennrich et al. 2016).
// Thread rule: const methods from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace boreal::text {

// (left, right) -> (rank, id), a flat hash.
class MergeTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffU;
  struct Merge {
    std::uint32_t rank = kNone;  // kNone: the pair does not merge
    TokenId id = 0;
  };

  explicit MergeTable(std::size_t expected_count = 0);
  // False if the pair is there already.
  bool add(TokenId left, TokenId right, Merge merge);
  Merge find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t key = 0;
    Merge merge;  // rank kNone: free
  };
  std::size_t slot_of(std::uint64_t key) const;
  void grow();
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::size_t count_ = 0;
};

// The ids of single bytes; -1 where the vocabulary lacks the byte.
using ByteIds = std::array<TokenId, 256>;

class Bpe {
 public:
  Bpe(ByteIds byte_ids, MergeTable merges);
  // Appends the ids of the piece. Bytes that the vocabulary lacks are left out and their neighbours
  // meet. O(n log n).
  void encode(std::string_view piece, std::vector<TokenId>& ids) const;
  const ByteIds& byte_ids() const { return byte_ids_; }

 private:
  // Quadratic with a tiny constant, and O(n log n) by a heap. Both merge ids[from..] in place.
  void merge_short(std::vector<TokenId>& ids, std::size_t from) const;
  void merge_long(std::vector<TokenId>& ids, std::size_t from) const;

  ByteIds byte_ids_;
  MergeTable merges_;
};

}  // namespace boreal::text
