// The ids of pieces met lately that ShortCache does not take: direct-mapped, one cache line a
// piece. A WordCache is one thread's at a time; WordCaches lends them out with a ShortCache each,
// one to each encode call under way, so that a Tokenizer stays immutable to the eye.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "text/short_cache.h"
#include "text/tokenizer.h"

namespace boreal::text {

class WordCache {
 public:
  static constexpr std::size_t kPieceBytes = 24;
  static constexpr std::size_t kIds = 9;

  struct alignas(64) Entry {
    std::array<std::uint64_t, 3> key{};
    std::uint8_t piece_bytes = 0;  // 0: free
    std::uint8_t count = 0;
    std::array<TokenId, kIds> ids{};
    std::span<const TokenId> span() const { return {ids.data(), count}; }
  };
  static_assert(sizeof(Entry) == 64);

  static bool takes(std::string_view piece) { return piece.size() <= kPieceBytes; }

  // The place of the piece, 1 to kPieceBytes bytes, and whether it holds its ids. If not, fill()
  // may put them there.
  std::pair<Entry*, bool> find(std::string_view piece) {
    const auto key = key_of(piece);
    const std::uint64_t mixed = (key[0] ^ std::rotl(key[1] * 0xc2b2ae3d27d4eb4fU, 29) ^
                                 std::rotl(key[2] * 0x165667b19e3779f9U, 43) ^ piece.size()) *
                                0x9e3779b97f4a7c15U;
    Entry& entry = entries_[mixed >> (64 - kBits)];
    return {&entry, entry.piece_bytes == piece.size() && entry.key == key};
  }
  static void fill(Entry& entry, std::string_view piece, std::span<const TokenId> ids) {
    if (ids.size() > kIds) return;
    entry.key = key_of(piece);
    entry.piece_bytes = static_cast<std::uint8_t>(piece.size());
    entry.count = static_cast<std::uint8_t>(ids.size());
    std::copy(ids.begin(), ids.end(), entry.ids.begin());
  }

 private:
  static constexpr int kBits = 13;
  static constexpr std::size_t kEntries = std::size_t{1} << kBits;

  template <class Word>
  static std::uint64_t load(const char* from) {
    Word word = 0;
    std::memcpy(&word, from, sizeof(word));
    return word;
  }
  // With the size it tells all pieces apart: whole words of the piece, the last ones overlapping.
  static std::array<std::uint64_t, 3> key_of(std::string_view piece) {
    const char* const p = piece.data();
    const std::size_t n = piece.size();
    if (n > 16)
      return {load<std::uint64_t>(p), load<std::uint64_t>(p + 8), load<std::uint64_t>(p + n - 8)};
    if (n >= 8) return {load<std::uint64_t>(p), load<std::uint64_t>(p + n - 8), 0};
    if (n >= 4) return {load<std::uint32_t>(p) | load<std::uint32_t>(p + n - 4) << 32, 0, 0};
    return {load<std::uint8_t>(p) | load<std::uint8_t>(p + n / 2) << 8 |
                load<std::uint8_t>(p + n - 1) << 16,
            0, 0};
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

struct PieceCache {
  ShortCache shorts;
  WordCache words;
};

class WordCaches {
 public:
  class Lease {
   public:
    explicit Lease(WordCaches& owner) : owner_(owner), cache_(owner.take()) {}
    ~Lease() { owner_.give_back(std::move(cache_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    PieceCache& operator*() { return *cache_; }

   private:
    WordCaches& owner_;
    std::unique_ptr<PieceCache> cache_;
  };

 private:
  std::unique_ptr<PieceCache> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto cache = std::move(idle_.back());
        idle_.pop_back();
        return cache;
      }
    }
    return std::make_unique<PieceCache>();
  }
  void give_back(std::unique_ptr<PieceCache> cache) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(cache));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<PieceCache>> idle_;
};

}  // namespace boreal::text
