// Ids against those of Hugging Face tokenizers; tools/oracle/tokenizer_goldens.py makes the files.
#include <gtest/gtest.h>

#include "base/hash.h"
#include "golden_files.h"

namespace boreal::text {
namespace {

using Ids = std::vector<TokenId>;

void expect_string_ids(const Tokenizer& tokenizer, const nlohmann::json& strings,
                       const nlohmann::json& golden, const std::string& name) {
  ASSERT_EQ(golden["ids"].size(), strings.size());
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const auto text = strings[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), golden["ids"][i].get<Ids>()) << name << ": " << strings[i];
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = true}), golden["ids_special"][i].get<Ids>())
        << name << ": " << strings[i];
  }
}

TEST(TokenizerGolden, TrickyStringsHaveTheIdsOfTheReference) {
  const auto golden = read_json(golden_path("tokenizer_strings.json"));
  ASSERT_EQ(golden["tokenizers"].size(), 3U);
  for (const auto& [name, ids] : golden["tokenizers"].items()) {
    expect_string_ids(load_golden(name), golden["strings"], ids, name);
  }
}

TEST(TokenizerGolden, AFileWrittenBackGivesTheSameIds) {
  const auto golden = read_json(golden_path("tokenizer_strings.json"));
  for (const auto& [name, ids] : golden["tokenizers"].items()) {
    const Tokenizer first = load_golden(name);
    const Tokenizer second = Tokenizer::parse(first.to_json(), "written").value();
    EXPECT_EQ(second.fingerprint(), first.fingerprint());
    EXPECT_EQ(second.to_json(), first.to_json());
    expect_string_ids(second, golden["strings"], ids, name);
  }
}

std::string digest(const Ids& ids) {
  std::string bytes;
  for (const TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift & 0xff);
  }
  return sha256_hex(bytes).substr(0, 16);
}

// Stretches of 64 KiB, cut between characters.
std::vector<std::string_view> blocks_of(std::string_view text) {
  std::vector<std::string_view> blocks;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(at + 65536, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    blocks.push_back(text.substr(at, end - at));
    at = end;
  }
  return blocks;
}

class SharedTokenizer : public testing::TestWithParam<const char*> {
 protected:
  const std::string shared = std::string(BOREAL_SOURCE_DIR) + "/../shared/data";
};

TEST_P(SharedTokenizer, HasTheIdsOfTheReferenceOnAllSharedText) {
  const std::string path = shared + "/tokenizers/" + GetParam();
  if (!Env::real().exists(path)) GTEST_SKIP() << path << " is not there";
  const Tokenizer tokenizer = Tokenizer::load(Env::real(), path).value();
  const auto golden = read_json(golden_path("tokenizer_shared.json"))[GetParam()];
  const auto strings = read_json(golden_path("tokenizer_strings.json"))["strings"];
  expect_string_ids(tokenizer, strings, golden, GetParam());
  for (const auto& [name, expected] : golden["texts"].items()) {
    const std::string text = read_text(shared + "/text/" + name);
    ASSERT_EQ(sha256_hex(text), expected["sha256"].get<std::string>())
        << name << " is another file";
    const auto blocks = blocks_of(text);
    ASSERT_EQ(blocks.size(), expected["blocks"].size()) << name;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(digest(tokenizer.encode(blocks[i], {.parse_special = true})),
                expected["blocks"][i].get<std::string>())
          << name << ", block " << i;
    }
    const Ids ids = tokenizer.encode(text, {.parse_special = true});
    EXPECT_EQ(ids.size(), expected["ids"].get<std::size_t>());
    EXPECT_EQ(Ids(ids.begin(), ids.begin() + 16), expected["first"].get<Ids>());
    EXPECT_EQ(digest(ids), expected["digest"].get<std::string>());
  }
}

TEST_P(SharedTokenizer, GivesTheSharedTextBack) {
  const std::string path = shared + "/tokenizers/" + GetParam();
  if (!Env::real().exists(path)) GTEST_SKIP() << path << " is not there";
  const Tokenizer tokenizer = Tokenizer::load(Env::real(), path).value();
  const auto names = Env::real().list_dir(shared + "/text").value();
  EXPECT_FALSE(names.empty());
  for (const std::string& name : names) {
    const std::string text = read_text(shared + "/text/" + name);
    EXPECT_TRUE(tokenizer.decode(tokenizer.encode(text)) == text) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, SharedTokenizer, testing::Values("gpt2.json", "neox_20b.json"),
                         [](const auto& tested) { return std::string(tested.param).substr(0, 4); });

}  // namespace
}  // namespace boreal::text
