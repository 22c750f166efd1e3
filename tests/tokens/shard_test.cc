#include "tokens/shard.h"

#include <gmock/gmock.h>

#include "tests/tokens/faulty_env.h"
#include "tests/tokens/shard_fixture.h"

namespace boreal::tokens {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string little_endian(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xff);
  return text;
}

const std::vector<TestDocument>& small_documents() {
  static const std::vector<TestDocument> documents = {
      {{5, 6, 7}, {0, 1, 1}, R"({"source":"elements","row":1})"},
      {{258}, {}, R"({"source":"elements","row":2})"},
      {{1, 2, 3, 4}, {0, 0, 0, 1}, R"({"source":"stars","row":9})"}};
  return documents;
}

TEST_F(ShardTest, BinAndIdxAreByteForByteWhatMegatronWrites) {
  feed(at("s"), small_documents());
  EXPECT_EQ(*env.read_file(at("s.bin")), std::string("\5\0\6\0\7\0\2\1\1\0\2\0\3\0\4\0", 16));
  std::string idx = std::string("MMIDIDX\0\0", 9) + little_endian(1, 8) + little_endian(8, 1) +
                    little_endian(3, 8) + little_endian(4, 8);
  for (const std::uint64_t length : {3U, 1U, 4U}) idx += little_endian(length, 4);
  for (const std::uint64_t pointer : {0U, 6U, 8U}) idx += little_endian(pointer, 8);
  for (const std::uint64_t document : {0U, 1U, 2U, 3U}) idx += little_endian(document, 8);
  EXPECT_EQ(*env.read_file(at("s.idx")), idx);
  EXPECT_EQ(idx.size(), 34U + 8U + 20U * 3U);
  EXPECT_EQ(*env.read_file(at("s.loss")), std::string("\0\1\1\1\0\0\0\1", 8));
}

TEST_F(ShardTest, IdsAreSixteenBitsBelowAVocabularyOf65500AndThirtyTwoFromThere) {
  EXPECT_EQ(feed(at("narrow"), {{{65498}, {}}}, 65499).dtype, DType::u16);
  EXPECT_EQ(feed(at("wide"), {{{65499}, {}}}, 65500).dtype, DType::i32);
  EXPECT_EQ(*env.read_file(at("narrow.bin")), std::string("\xda\xff", 2));
  EXPECT_EQ(*env.read_file(at("wide.bin")), std::string("\xdb\xff\0\0", 4));
  EXPECT_EQ(env.read_file(at("wide.idx"))->at(17), 4);
  EXPECT_THAT(ShardReader::open(env, at("wide"))->ids_of(0), ElementsAre(65499));
}

TEST_F(ShardTest, EverythingWrittenIsReadBack) {
  const ShardInfo written = feed(at("s"), small_documents());
  const auto shard = ShardReader::open(env, at("s"));
  ASSERT_TRUE(shard.ok()) << shard.error().message;
  EXPECT_TRUE(shard->verify().ok());
  const ShardInfo& info = shard->info();
  EXPECT_EQ(info.documents, 3);
  EXPECT_EQ(info.tokens, 8);
  EXPECT_EQ(info.loss_tokens, 4);
  EXPECT_EQ(info.max_id, 258);
  EXPECT_EQ(info.vocab, 4096);
  EXPECT_EQ(info.tokenizer_fingerprint, "f00d");
  EXPECT_EQ(info.bytes, written.bytes);
  for (std::size_t d = 0; d < 3; ++d) {
    const auto document = static_cast<std::int64_t>(d);
    EXPECT_EQ(shard->ids_of(document), small_documents()[d].ids);
    EXPECT_EQ(*shard->provenance(document), small_documents()[d].provenance);
  }
  std::vector<std::uint8_t> loss(4);
  shard->read_loss(2, loss);
  EXPECT_THAT(loss, ElementsAre(1, 1, 0, 0));
}

TEST_F(ShardTest, TheDocumentOfATokenIsFoundAlsoBetweenEmptyDocuments) {
  feed_counting(at("s"), {0, 3, 0, 0, 2, 1, 0});
  const auto shard = ShardReader::open(env, at("s"));
  ASSERT_TRUE(shard.ok());
  std::vector<std::int64_t> documents;
  for (std::int64_t t = 0; t < 6; ++t) documents.push_back(shard->document_at(t));
  EXPECT_THAT(documents, ElementsAre(1, 1, 1, 4, 4, 5));
  EXPECT_EQ(shard->document_begin(7), 6);
  EXPECT_EQ(shard->document_tokens(2), 0);
}

TEST_F(ShardTest, AShardWithoutDocumentsIsWholeAndEmpty) {
  feed(at("s"), {});
  const auto shard = ShardReader::open(env, at("s"));
  ASSERT_TRUE(shard.ok()) << shard.error().message;
  EXPECT_TRUE(shard->verify().ok());
  EXPECT_EQ(shard->info().tokens, 0);
  EXPECT_EQ(shard->info().max_id, -1);
}

TEST_F(ShardTest, ALongShardPassesTheWriteBufferUnharmed) {
  std::vector<TestDocument> documents(300);
  for (std::size_t d = 0; d < documents.size(); ++d)
    for (std::size_t i = 0; i < 700 + d; ++i)
      documents[d].ids.push_back(static_cast<std::int32_t>((d * 31 + i) % 70000));
  feed(at("s"), documents, 70000);
  const auto shard = ShardReader::open(env, at("s"));
  ASSERT_TRUE(shard.ok());
  EXPECT_TRUE(shard->verify().ok());
  for (std::size_t d = 0; d < documents.size(); ++d)
    ASSERT_EQ(shard->ids_of(static_cast<std::int64_t>(d)), documents[d].ids);
}

TEST_F(ShardTest, AnIdOutsideTheVocabularyIsRefusedWhenWritten) {
  auto writer = ShardWriter::create(env, at("s"), {.vocab = 10});
  for (const std::int32_t id : {10, -1}) {
    const auto status = writer->add(std::vector<std::int32_t>{1, id}, {}, "{}");
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::refused);
    EXPECT_THAT(status.error().message, HasSubstr(fmt::format("token 1 of document 0 is {}", id)));
  }
}

TEST_F(ShardTest, AnUncommittedWriterLeavesNothingBehind) {
  {
    auto writer = ShardWriter::create(env, at("s"), {.vocab = 10});
    ASSERT_TRUE(writer->add(std::vector<std::int32_t>{1}, {}, "{}").ok());
  }
  EXPECT_THAT(*env.list_dir(dir), ElementsAre());
}

TEST_F(ShardTest, EachFlippedByteOfEachFileIsRefused) {
  feed(at("s"), small_documents());
  std::int64_t refused_by_open = 0;
  std::int64_t flips = 0;
  for (const std::string& suffix : shard_suffixes()) {
    const std::string whole = *env.read_file(at("s" + suffix));
    ASSERT_FALSE(whole.empty());
    for (std::size_t place = 0; place < whole.size(); ++place) {
      for (const int mask : {1, 255}) {
        std::string flipped = whole;
        flipped[place] = static_cast<char>(flipped[place] ^ mask);
        damage(at("s" + suffix), flipped);
        const auto shard = ShardReader::open(env, at("s"));
        ++flips;
        refused_by_open += shard.ok() ? 0 : 1;
        if (!shard.ok()) {
          EXPECT_EQ(shard.error().kind, ErrorKind::refused);
          EXPECT_THAT(shard.error().message, HasSubstr(dir));
          continue;
        }
        const auto status = shard->verify();
        ASSERT_FALSE(status.ok()) << suffix << " byte " << place << " xor " << mask;
        EXPECT_EQ(status.error().kind, ErrorKind::refused);
      }
    }
    damage(at("s" + suffix), whole);
  }
  // The index and the meta file are always read whole.
  const std::size_t checked =
      env.read_file(at("s.idx"))->size() + env.read_file(at("s.meta.json"))->size();
  EXPECT_EQ(refused_by_open, static_cast<std::int64_t>(2 * checked));
  EXPECT_GT(flips, refused_by_open);
}

TEST_F(ShardTest, EveryFileCutAtAnyLengthOrGrownByAByteIsRefusedByOpen) {
  feed(at("s"), small_documents());
  for (const std::string& suffix : shard_suffixes()) {
    const std::string whole = *env.read_file(at("s" + suffix));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      damage(at("s" + suffix), whole.substr(0, size));
      ASSERT_FALSE(ShardReader::open(env, at("s")).ok()) << suffix << " cut to " << size;
    }
    damage(at("s" + suffix), whole + "\n");
    EXPECT_FALSE(ShardReader::open(env, at("s")).ok()) << suffix;
    damage(at("s" + suffix), whole);
  }
}

TEST_F(ShardTest, AMissingFileIsRefusedByName) {
  for (const std::string& suffix : shard_suffixes()) {
    feed(at("s"), small_documents());
    ASSERT_TRUE(env.remove_all(at("s" + suffix)).ok());
    const auto shard = ShardReader::open(env, at("s"), {.meta_optional = true});
    ASSERT_FALSE(shard.ok()) << suffix;
    EXPECT_EQ(shard.error().kind, ErrorKind::refused);
    EXPECT_THAT(shard.error().message, HasSubstr("s" + suffix));
  }
  EXPECT_THAT(ShardReader::open(env, at("nothing")).error().message,
              HasSubstr("no token shard at"));
}

TEST_F(ShardTest, FilesOfTwoShardsDoNotMix) {
  feed(at("a"), {{{1, 2, 3, 4}, {}}});
  feed(at("b"), {{{1, 2}, {}}, {{3, 4}, {}}});
  for (const std::string& suffix : shard_suffixes()) {
    const std::string own = *env.read_file(at("a" + suffix));
    damage(at("a" + suffix), *env.read_file(at("b" + suffix)));
    const auto shard = ShardReader::open(env, at("a"));
    const bool same = own == *env.read_file(at("a" + suffix));
    EXPECT_EQ(shard.ok() && shard->verify().ok(), same) << suffix;
    damage(at("a" + suffix), own);
  }
}

TEST_F(ShardTest, AWriterKilledBetweenAnyTwoRenamesLeavesTheOldShardOrNone) {
  feed(at("s"), {{{1, 1, 1}, {}}});
  bool committed = false;
  for (std::int64_t changes = 1; !committed; ++changes) {
    ASSERT_LT(changes, 20);
    feed(at("s"), {{{1, 1, 1}, {}}});
    FaultyEnv faulty;
    auto writer =
        ShardWriter::create(faulty, at("s"), {.tokenizer_fingerprint = "f00d", .vocab = 10});
    ASSERT_TRUE(writer->add(std::vector<std::int32_t>{2, 2, 2}, {}, "{}").ok());
    faulty.changes_left = changes;
    committed = writer->commit().ok();
    const auto shard = ShardReader::open(env, at("s"), {.meta_optional = true});
    ASSERT_EQ(shard.ok(), committed) << "after " << changes << " changes";
    if (!committed) continue;
    EXPECT_TRUE(shard->verify().ok());
    EXPECT_THAT(shard->ids_of(0), ElementsAre(2, 2, 2));
  }
}

TEST_F(ShardTest, AFullDiskIsAnErrorAndTheOldShardStays) {
  feed(at("s"), {{{1, 1, 1}, {}}});
  const auto names = *env.list_dir(dir);
  for (const std::uint64_t bytes : {0U, 5U, 20U, 100U}) {
    FaultyEnv faulty;
    faulty.bytes_left = bytes;
    {
      auto writer = ShardWriter::create(faulty, at("s"), {.vocab = 10});
      ASSERT_TRUE(writer->add(std::vector<std::int32_t>{2, 2, 2, 2}, {}, "{}").ok());
      const auto info = writer->commit();
      ASSERT_FALSE(info.ok());
      EXPECT_THAT(info.error().message, HasSubstr("No space left"));
    }
    EXPECT_EQ(*env.list_dir(dir), names);
    EXPECT_THAT(ShardReader::open(env, at("s"))->ids_of(0), ElementsAre(1, 1, 1));
  }
}

class MegatronShardTest : public ShardTest {
 protected:
  // Two documents of two sequences and one of one, as preprocess_data writes split documents.
  static std::string idx_of(const std::vector<std::uint64_t>& lengths,
                            const std::vector<std::uint64_t>& pointers,
                            const std::vector<std::uint64_t>& documents, std::uint64_t code = 4) {
    std::string idx = std::string("MMIDIDX\0\0", 9) + little_endian(1, 8) + little_endian(code, 1) +
                      little_endian(lengths.size(), 8) + little_endian(documents.size(), 8);
    for (const std::uint64_t length : lengths) idx += little_endian(length, 4);
    for (const std::uint64_t pointer : pointers) idx += little_endian(pointer, 8);
    for (const std::uint64_t document : documents) idx += little_endian(document, 8);
    return idx;
  }
  void feed_bin(const std::vector<std::uint64_t>& ids) {
    std::string bin;
    for (const std::uint64_t id : ids) bin += little_endian(id, 4);
    damage(at("m.bin"), bin);
  }
  Result<ShardReader> open() { return ShardReader::open(env, at("m"), {.meta_optional = true}); }
};

TEST_F(MegatronShardTest, OfPlainMegatronIsReadWhereTheCallerAllowsIt) {
  feed_bin({10, 11, 12, 13, 14, 15});
  damage(at("m.idx"), idx_of({1, 2, 3}, {0, 4, 12}, {0, 2, 3}));
  EXPECT_THAT(ShardReader::open(env, at("m")).error().message, HasSubstr("m.meta.json is missing"));
  const auto shard = open();
  ASSERT_TRUE(shard.ok()) << shard.error().message;
  EXPECT_TRUE(shard->verify().ok());
  EXPECT_FALSE(shard->info().has_meta);
  EXPECT_EQ(shard->info().documents, 2);
  EXPECT_EQ(shard->info().loss_tokens, 6);
  EXPECT_THAT(shard->ids_of(0), ElementsAre(10, 11, 12));
  EXPECT_THAT(shard->ids_of(1), ElementsAre(13, 14, 15));
  EXPECT_EQ(*shard->provenance(1), "");
  std::vector<std::uint8_t> loss(6);
  shard->read_loss(0, loss);
  EXPECT_THAT(loss, testing::Each(1));
}

TEST_F(MegatronShardTest, WithoutLossCannotBeMistakenForAnUnfinishedOne) {
  feed(at("m"), small_documents());
  ASSERT_TRUE(env.remove_all(at("m.meta.json")).ok());
  EXPECT_THAT(open().error().message, HasSubstr("never finished"));
}

TEST_F(MegatronShardTest, IndexesThatDisagreeWithTheBinAreRefusedWithBothValues) {
  feed_bin({10, 11, 12, 13, 14, 15});
  const std::uint64_t minus_one = ~std::uint64_t{0};
  const std::uint64_t huge = std::uint64_t{1} << 61;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {idx_of({1, 2}, {0, 4}, {0, 2}), "describes 12 bytes of tokens, but .bin has 24"},
      {idx_of({1, 2, 4}, {0, 4, 12}, {0, 3}), "describes 28 bytes of tokens, but .bin has 24"},
      {idx_of({1, 2, 3}, {0, 8, 12}, {0, 3}),
       "sequence 1 begins at byte 8, but those before it end at 4"},
      {idx_of({1, 2, 3}, {4, 8, 16}, {0, 3}), "sequence 0 begins at byte 4"},
      {idx_of({1, minus_one, 6}, {0, 4, 0}, {0, 3}), "sequence 1 has a length of -1"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {0, 2}), "its documents hold 2 sequences of 3"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {0, 2, 1, 3}), "document entry 2 is 1 after 2"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {1, 3}), "document entry 0 is 1"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {0, huge}), "documents hold"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {}), "list of documents is empty"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {0, 3}, 6), "element type 6 does not hold token ids"},
      {idx_of({1, 2, 3}, {0, 4, 12}, {0, 3}) + std::string(3, '\0'), "do not make 89 bytes"},
      {std::string("MMIDIDX\0\1", 9) + std::string(40, '\0'), "no Megatron index"},
      {"MMIDIDX", "fewer than the 34 of the header"}};
  for (const auto& [idx, message] : cases) {
    damage(at("m.idx"), idx);
    const auto shard = open();
    ASSERT_FALSE(shard.ok()) << message;
    EXPECT_EQ(shard.error().kind, ErrorKind::refused);
    EXPECT_THAT(shard.error().message, HasSubstr(message));
    EXPECT_THAT(shard.error().message, HasSubstr("m.idx"));
  }
}

TEST_F(MegatronShardTest, CountsThatOverflowAreRefused) {
  feed_bin({10});
  for (const std::uint64_t n : {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 62,
                                (~std::uint64_t{0}) / 12 + 1, (~std::uint64_t{0}) / 8 + 1}) {
    for (const std::size_t field : {18U, 26U}) {
      std::string idx = idx_of({1}, {0}, {0, 1});
      idx.replace(field, 8, little_endian(n, 8));
      damage(at("m.idx"), idx);
      EXPECT_FALSE(open().ok()) << n;
    }
  }
}

TEST_F(MegatronShardTest, ANegativeIdIsRefusedByVerify) {
  feed_bin({10, 0xffffffffU});
  damage(at("m.idx"), idx_of({2}, {0}, {0, 1}));
  const auto shard = open();
  ASSERT_TRUE(shard.ok());
  EXPECT_THAT(shard->verify().error().message, HasSubstr("token 1 is -1"));
}

}  // namespace
}  // namespace boreal::tokens
