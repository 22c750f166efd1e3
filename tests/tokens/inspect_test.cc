#include "tokens/inspect.h"

#include <gmock/gmock.h>

#include "tests/tokens/shard_fixture.h"

namespace boreal::tokens {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class InspectTest : public ShardTest {
 protected:
  void SetUp() override {
    ShardTest::SetUp();
    feed(at("s"), {{{5, 6, 5, 7}, {0, 1, 1, 1}, R"({"record":"helium"})"},
                   {{}, {}, R"({"record":"neon"})"},
                   {{7, 5}, {1, 0}, R"({"record":"helium-3"})"}});
  }
};

TEST_F(InspectTest, AFolderListsItsShardsFinishedOrNot) {
  ASSERT_TRUE(env.make_dirs(at("more")).ok());
  feed(at("more/t"), {{{1}, {}}});
  damage(at("broken.loss"), "x");
  damage(at("notes.jsonl"), "{}\n");
  EXPECT_THAT(*list_shards(env, dir), ElementsAre(at("broken"), at("more/t"), at("s")));
  EXPECT_THAT(summarise(env, at("broken")).error().message, HasSubstr("never finished"));
}

TEST_F(InspectTest, AShardIsNamedByItsPrefixOrAnyOfItsFiles) {
  EXPECT_THAT(*list_shards(env, at("s")), ElementsAre(at("s")));
  for (const std::string& suffix : shard_suffixes())
    EXPECT_THAT(*list_shards(env, at("s" + suffix)), ElementsAre(at("s")));
  EXPECT_EQ(list_shards(env, at("nothing")).error().kind, ErrorKind::refused);
  ASSERT_TRUE(env.make_dirs(at("empty")).ok());
  EXPECT_FALSE(list_shards(env, at("empty")).ok());
}

TEST_F(InspectTest, ASummaryHoldsTheCounts) {
  const ShardInfo info = *summarise(env, at("s"));
  EXPECT_EQ(info.documents, 3);
  EXPECT_EQ(info.tokens, 6);
  EXPECT_EQ(info.loss_tokens, 4);
  EXPECT_EQ(info.dtype, DType::u16);
}

TEST_F(InspectTest, TheHeadShowsDocumentsAsIdsWithWeightsAndProvenance) {
  const ShardReader shard = ShardReader::open(env, at("s")).value();
  const auto documents = *head(shard, {.first = 0, .documents = 2, .tokens_max = 3});
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_THAT(documents[0].ids, ElementsAre(5, 6, 5));
  EXPECT_THAT(documents[0].loss, ElementsAre(0, 1, 1));
  EXPECT_EQ(documents[0].tokens, 4);
  EXPECT_THAT(documents[1].ids, IsEmpty());
  EXPECT_EQ(documents[1].provenance, R"({"record":"neon"})");
  EXPECT_EQ(head(shard, {.first = 2, .documents = 10})->size(), 1U);
  EXPECT_THAT(*head(shard, {.first = 99}), IsEmpty());
}

TEST_F(InspectTest, DocumentsAreFoundByTheTextOfTheirProvenance) {
  const ShardReader shard = ShardReader::open(env, at("s")).value();
  EXPECT_THAT(*find_documents(shard, "helium"), ElementsAre(0, 2));
  EXPECT_THAT(*find_documents(shard, "helium", 1), ElementsAre(0));
  EXPECT_THAT(*find_documents(shard, "argon"), IsEmpty());
}

TEST_F(InspectTest, AJsonlWithALineTooFewIsRefusedWhenItIsAskedFor) {
  std::string lines = *env.read_file(at("s.jsonl"));
  lines[lines.find('\n')] = ' ';
  damage(at("s.jsonl"), lines);
  const ShardReader shard = ShardReader::open(env, at("s")).value();
  EXPECT_THAT(find_documents(shard, "x").error().message, HasSubstr("2 lines for 3 documents"));
}

TEST_F(InspectTest, StatisticsCountLengthsAndIds) {
  const ShardStats found = *stats(*ShardReader::open(env, at("s")), 2);
  EXPECT_EQ(found.documents_empty, 1);
  EXPECT_EQ(found.length_min, 0);
  EXPECT_EQ(found.length_p50, 2);
  EXPECT_EQ(found.length_p99, 4);
  EXPECT_EQ(found.length_max, 4);
  EXPECT_DOUBLE_EQ(found.length_mean, 2.0);
  EXPECT_EQ(found.ids_distinct, 3);
  ASSERT_EQ(found.ids_frequent.size(), 2U);
  EXPECT_EQ(found.ids_frequent[0].id, 5);
  EXPECT_EQ(found.ids_frequent[0].count, 3);
  EXPECT_EQ(found.ids_frequent[1].id, 7);
}

}  // namespace
}  // namespace boreal::tokens
