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

// (left, right) -> (rank, id): a flat hash behind a filter of bits, as most pairs that are asked
// for do not merge and the hash is larger than the caches near the processor.
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
  // Slots, and bits of the filter, are chosen by the high bits of this.
  static std::uint64_t mixed(TokenId left, TokenId right);
  static std::size_t filter_bit(std::uint64_t mixed) { return mixed >> (64 - kFilterBits); }
  std::size_t slot_of(std::uint64_t key, std::uint64_t mixed) const;
  void grow();
  static constexpr int kFilterBits = 20;
  std::vector<std::uint64_t> filter_ = std::vector<std::uint64_t>((1U << kFilterBits) / 64);
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
  // Quadratic with a tiny constant, and O(n log n) by a heap. Both append the ids of `bytes`, which
  // the vocabulary has.
  void merge_short(std::string_view bytes, std::vector<TokenId>& ids) const;
  void merge_long(std::string_view bytes, std::vector<TokenId>& ids) const;
  MergeTable::Merge merge_of_bytes(char left, char right) const {
    return byte_merges_[static_cast<std::size_t>(static_cast<std::uint8_t>(left)) << 8 |
                        static_cast<std::uint8_t>(right)];
  }
  bool has_all(std::string_view bytes) const;

  ByteIds byte_ids_;
  MergeTable merges_;
  // The merges of two bytes, 256 x 256: where every piece begins.
  std::vector<MergeTable::Merge> byte_merges_;
};

}  // namespace boreal::text
