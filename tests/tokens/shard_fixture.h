// A folder of its own for each test, and verbs to feed shards into it and to damage them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/env.h"
#include "tokens/shard.h"

namespace boreal::tokens {

struct TestDocument {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> loss;
  std::string provenance = "{}";
};

class ShardTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir = testing::TempDir() + "/boreal_tokens_" + info->test_suite_name() + "_" + info->name();
    ASSERT_TRUE(env.remove_all(dir).ok());
    ASSERT_TRUE(env.make_dirs(dir).ok());
  }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }

  std::string at(const std::string& name) const { return join_path(dir, name); }

  ShardInfo feed(const std::string& prefix, const std::vector<TestDocument>& documents,
                 std::int64_t vocab = 4096, const std::string& tokenizer = "f00d") {
    auto writer =
        ShardWriter::create(env, prefix, {.tokenizer_fingerprint = tokenizer, .vocab = vocab});
    EXPECT_TRUE(writer.ok());
    for (const TestDocument& document : documents) {
      const auto status = writer->add(document.ids, document.loss, document.provenance);
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    auto info = writer->commit();
    EXPECT_TRUE(info.ok()) << info.error().message;
    return *info;
  }

  // Documents of the given lengths whose ids count up through the shard, so that an id tells its
  // place.
  ShardInfo feed_counting(const std::string& prefix, const std::vector<std::int64_t>& lengths,
                          std::int64_t vocab = 1 << 20) {
    std::vector<TestDocument> documents;
    std::int32_t next = 0;
    for (const std::int64_t length : lengths) {
      TestDocument& document = documents.emplace_back();
      for (std::int64_t i = 0; i < length; ++i) document.ids.push_back(next++);
    }
    return feed(prefix, documents, vocab);
  }

  // Overwrites without the meta file knowing.
  void damage(const std::string& path, const std::string& content) {
    auto writer = env.create(path);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->append(content).ok());
    ASSERT_TRUE((*writer)->close().ok());
  }

  Env& env = Env::real();
  std::string dir;
};

inline const std::vector<std::string>& shard_suffixes() {
  static const std::vector<std::string> suffixes = {".bin", ".idx", ".loss", ".jsonl",
                                                    ".meta.json"};
  return suffixes;
}

}  // namespace boreal::tokens
