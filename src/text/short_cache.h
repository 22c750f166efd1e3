// The ids of the shortest pieces met lately, nearly all of a text: two to a cache line, found
// without a branch on their size. A ShortCache is one thread's at a time.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace boreal::text {

class ShortCache {
 public:
  static constexpr std::size_t kPieceBytes = 15;
  static constexpr std::size_t kIds = 4;

  // The bytes of a piece, zeros, and its size in the last byte.
  struct Key {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const Key& other) const {
      return ((low ^ other.low) | (high ^ other.high)) == 0;
    }
  };
  // Of the piece of 1 to kPieceBytes bytes at `begin`.
  static Key key_of(std::string_view text, std::size_t begin, std::size_t size) {
    // Ones in the first `size` bytes of two words, read out of a row of both.
    static constexpr std::array<std::uint8_t, 32> kMask = {255, 255, 255, 255, 255, 255, 255, 255,
                                                           255, 255, 255, 255, 255, 255, 255, 255};
    std::array<std::uint64_t, 2> words{};
    if (text.size() - begin >= sizeof(words)) {
      std::array<std::uint64_t, 2> mask{};
      std::memcpy(words.data(), text.data() + begin, sizeof(words));
      std::memcpy(mask.data(), kMask.data() + (16 - size), sizeof(mask));
      words[0] &= mask[0];
      words[1] &= mask[1];
    } else {
      std::memcpy(words.data(), text.data() + begin, size);
    }
    return {words[0], words[1] | std::uint64_t{size} << 56};
  }

  class Entry {
   public:
    // Writes kIds ids, of which the first `count` count.
    std::size_t copy(TokenId* ids) const {
      std::memcpy(ids, packed_.data(), sizeof(packed_));
      ids[kIds - 1] &= kIdEnd - 1;
      return static_cast<std::uint32_t>(packed_[kIds - 1]) >> kIdBits;
    }

   private:
    friend class ShortCache;
    Key key_;
    std::array<TokenId, kIds> packed_{};  // the count above the last one
  };

  // Null if it is not there.
  const Entry* find(const Key& key) const {
    const Set& set = sets_[set_of(key)];
    // Which of the two it is no processor foresees, that it is one of them every one does.
    const Entry& entry = set[static_cast<std::size_t>(set[1].key_ == key)];
    return entry.key_ == key ? &entry : nullptr;
  }
  // Pushes the older of the two out. Ids that do not fit are left out.
  void insert(const Key& key, std::span<const TokenId> ids) {
    if (ids.size() > kIds) return;
    for (const TokenId id : ids)
      if (id >= kIdEnd) return;
    Set& set = sets_[set_of(key)];
    set[1] = set[0];
    set[0] = {};
    set[0].key_ = key;
    std::copy(ids.begin(), ids.end(), set[0].packed_.begin());
    set[0].packed_[kIds - 1] |= static_cast<TokenId>(ids.size() << kIdBits);
  }

 private:
  static constexpr int kBits = 16;
  static constexpr int kIdBits = 24;
  static constexpr TokenId kIdEnd = 1 << kIdBits;
  struct alignas(64) Set : std::array<Entry, 2> {};
  static_assert(sizeof(Set) == 64);

  static std::size_t set_of(const Key& key) {
    const std::uint64_t mixed =
        (key.low ^ (key.high * 0xc2b2ae3d27d4eb4fU >> 13)) * 0x9e3779b97f4a7c15U;
    return mixed >> (64 - kBits);
  }
  std::vector<Set> sets_ = std::vector<Set>(std::size_t{1} << kBits);
};

}  // namespace boreal::text
