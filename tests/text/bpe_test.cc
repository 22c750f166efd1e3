#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "base/philox.h"
#include "golden_files.h"
#include "text/tokenizer_model.h"

namespace boreal::text {
namespace {

// The definition, word for word: look for the best pair in all of the piece, merge it, begin again.
std::vector<TokenId> slow_encode(std::string_view piece, const ByteIds& byte_ids,
                                 const std::vector<Merge>& merges) {
  std::vector<TokenId> ids;
  for (const char byte : piece) {
    if (byte_ids[static_cast<std::uint8_t>(byte)] >= 0) {
      ids.push_back(byte_ids[static_cast<std::uint8_t>(byte)]);
    }
  }
  for (;;) {
    std::size_t best_rank = merges.size();
    std::size_t best_at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left != ids[i] || merges[rank].right != ids[i + 1]) continue;
        best_rank = rank;
        best_at = i;
        break;
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best_at] = merges[best_rank].id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

struct RandomBpe {
  ByteIds byte_ids;
  std::vector<Merge> merges;
  MergeTable table;
};

// Merges in an order that no trainer makes: a pair may come before those that make its sides,
// tokens have several makers.
RandomBpe random_bpe(std::uint64_t seed) {
  const Rng rng(seed, "random bpe");
  std::uint64_t draw = 0;
  RandomBpe bpe;
  bpe.byte_ids.fill(-1);
  std::vector<std::string> tokens = {"a", "b", "c"};
  for (TokenId id = 0; id < 3; ++id)
    bpe.byte_ids[static_cast<std::uint8_t>(tokens[static_cast<std::size_t>(id)][0])] = id;
  std::vector<Merge> made;
  while (tokens.size() < 30) {
    const std::size_t left = rng.bits(draw++) % tokens.size();
    const std::size_t right = rng.bits(draw++) % tokens.size();
    const std::string joined = tokens[left] + tokens[right];
    const bool known = std::any_of(made.begin(), made.end(), [&](const Merge& m) {
      return m.left == static_cast<TokenId>(left) && m.right == static_cast<TokenId>(right);
    });
    if (known || joined.size() > 12) continue;
    auto at = std::find(tokens.begin(), tokens.end(), joined);
    if (at == tokens.end()) at = tokens.insert(tokens.end(), joined);
    made.push_back({static_cast<TokenId>(left), static_cast<TokenId>(right),
                    static_cast<TokenId>(at - tokens.begin())});
  }
  for (std::size_t i = made.size(); i > 1; --i) std::swap(made[i - 1], made[rng.bits(draw++) % i]);
  bpe.merges = made;
  for (std::size_t rank = 0; rank < made.size(); ++rank) {
    bpe.table.add(made[rank].left, made[rank].right,
                  {static_cast<std::uint32_t>(rank), made[rank].id});
  }
  return bpe;
}

TEST(Bpe, ShortAndLongPiecesGetTheIdsOfTheDefinition) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    RandomBpe random = random_bpe(seed);
    const Bpe bpe(random.byte_ids, random.table);
    const Rng rng(seed, "pieces");
    std::uint64_t draw = 0;
    for (std::size_t size = 0; size < 120; size = size < 60 ? size + 1 : size + 13) {
      std::string piece;
      // 'x' is a byte that the vocabulary lacks.
      for (std::size_t i = 0; i < size; ++i)
        piece += "aabbccx"[rng.bits(draw++) % (seed % 2 ? 7 : 2)];
      std::vector<TokenId> ids = {99};
      bpe.encode(piece, ids);
      ASSERT_EQ(ids[0], 99);
      ids.erase(ids.begin());
      ASSERT_EQ(ids, slow_encode(piece, random.byte_ids, random.merges)) << piece;
    }
  }
}

TEST(Bpe, AMergeTableHoldsEachPairOnceAndGrows) {
  MergeTable table;
  for (TokenId i = 0; i < 1000; ++i) {
    EXPECT_TRUE(table.add(i, 7 - i, {static_cast<std::uint32_t>(i), i}));
  }
  EXPECT_FALSE(table.add(3, 4, {1, 1}));
  EXPECT_EQ(table.find(3, 4).id, 3);
  EXPECT_EQ(table.find(999, -992).id, 999);
  EXPECT_EQ(table.find(4, 4).rank, MergeTable::kNone);
}

TEST(Bpe, AMillionBytesWithoutABlankTakeNoQuadraticTime) {
  const Tokenizer tokenizer = load_golden("tokenizer_gpt2.json");
  std::string random;
  const Rng rng(1, "letters");
  for (std::uint64_t i = 0; i < 1000000; ++i) random += static_cast<char>('a' + rng.bits(i) % 26);
  for (const std::string& text :
       {std::string(1000000, 'a'), std::string(1000000, ' ') + "x", random}) {
    const std::clock_t begin = std::clock();
    const auto ids = tokenizer.encode(text);
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 10);
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}

}  // namespace
}  // namespace boreal::text
