#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/philox.h"
#include "golden_files.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_model.h"

namespace boreal::text {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json small_file() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 3, "content": "<e>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
    "model": {"type": "BPE", "dropout": null, "vocab": {"a": 0, "b": 1, "ab": 2},
              "merges": ["a b"]}})");
}

// The message with which the file is refused.
std::string refusal(const std::string& text) {
  const auto result = Tokenizer::parse(text, "t.json");
  if (result.ok()) return "it was accepted";
  EXPECT_EQ(result.error().kind, ErrorKind::refused);
  EXPECT_THAT(result.error().message, HasSubstr("t.json: "));
  return result.error().message;
}

std::string refusal_with(const std::string& pointer, const json& value) {
  json file = small_file();
  file[json::json_pointer(pointer)] = value;
  return refusal(file.dump());
}

TEST(TokenizerJson, TheSmallFileIsAccepted) {
  const auto tokenizer = Tokenizer::parse(small_file().dump(), "t.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->vocab_size(), 4);
  EXPECT_EQ(tokenizer->encode("aab<e>", {.parse_special = true}), (std::vector<TokenId>{0, 2, 3}));
}

TEST(TokenizerJson, UnknownPartsAreRefusedByName) {
  EXPECT_THAT(refusal_with("/normalizer", {{"type", "Lowercase"}}),
              HasSubstr("normalizer \"Lowercase\""));
  EXPECT_THAT(refusal_with("/pre_tokenizer", {{"type", "Metaspace"}}),
              HasSubstr("pre_tokenizer is \"Metaspace\""));
  EXPECT_THAT(refusal_with("/pre_tokenizer/use_rgx", true), HasSubstr("pre_tokenizer.use_rgx"));
  EXPECT_THAT(refusal_with("/post_processor", {{"type", "BertProcessing"}}),
              HasSubstr("post_processor is \"BertProcessing\""));
  EXPECT_THAT(refusal_with("/decoder", {{"type", "Metaspace"}}),
              HasSubstr("decoder is \"Metaspace\""));
  EXPECT_THAT(refusal_with("/model/type", "Unigram"), HasSubstr("model.type is \"Unigram\""));
  EXPECT_THAT(refusal_with("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(refusal_with("/model/byte_fallback", true), HasSubstr("model.byte_fallback"));
  EXPECT_THAT(refusal_with("/model/end_of_word_suffix", "</w>"),
              HasSubstr("model.end_of_word_suffix"));
  EXPECT_THAT(refusal_with("/model/unk_token", "<e>"), HasSubstr("lacks the byte 00"));
  EXPECT_THAT(refusal_with("/model/scores", json::array()), HasSubstr("model.scores"));
  EXPECT_THAT(refusal_with("/truncation", {{"max_length", 5}}), HasSubstr("truncation"));
  EXPECT_THAT(refusal_with("/padding", {{"pad_id", 5}}), HasSubstr("padding"));
  EXPECT_THAT(refusal_with("/version", "2.0"), HasSubstr("version is \"2.0\""));
  EXPECT_THAT(refusal_with("/extra", 1), HasSubstr("extra is a part"));
  EXPECT_THAT(refusal_with("/added_tokens/0/colour", 1), HasSubstr("added_tokens[0].colour"));
}

json sequence(const json& split, const json& byte_level) {
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
}

TEST(TokenizerJson, SplitsThatBorealLacksAreRefusedWithTheirPlace) {
  const json level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", "[\\p{L}\\p{M}]+|[^\\p{L}\\p{M}]"}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  EXPECT_EQ(refusal_with("/pre_tokenizer", sequence(split, level)), "it was accepted");
  json inverted = split;
  inverted["behavior"] = "Removed";
  EXPECT_THAT(refusal_with("/pre_tokenizer", sequence(inverted, level)),
              HasSubstr("behavior \"Removed\" with invert false"));
  inverted["invert"] = true;
  EXPECT_EQ(refusal_with("/pre_tokenizer", sequence(inverted, level)), "it was accepted");
  json other = split;
  other["pattern"]["Regex"] = "\\d";
  EXPECT_THAT(refusal_with("/pre_tokenizer", sequence(other, level)),
              HasSubstr("pretokenizers[0].pattern \"\\d\""));
  other["pattern"] = {{"String", " "}};
  EXPECT_THAT(refusal_with("/pre_tokenizer", sequence(other, level)),
              HasSubstr("pattern.Regex is missing"));
  json twice = level;
  twice["use_regex"] = true;
  EXPECT_THAT(refusal_with("/pre_tokenizer", sequence(split, twice)),
              HasSubstr("they are true and false"));
  EXPECT_THAT(refusal_with("/pre_tokenizer",
                           sequence({{"type", "Digits"}, {"individual_digits", true}}, level)),
              HasSubstr("pretokenizers[0] is \"Digits\""));
  EXPECT_THAT(refusal_with("/pre_tokenizer/pretokenizers", json::array()),
              HasSubstr("pre_tokenizer.pretokenizers"));
}

json split_of(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

// The file with such a pre-tokenizer, read, written and read again, splits like `pattern`.
void expect_pattern(const json& pre_tokenizer, SplitPattern pattern) {
  json file = small_file();
  file["pre_tokenizer"] = pre_tokenizer;
  const auto model = model_of_json(file.dump(), "t.json");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->pattern, pattern);
  EXPECT_EQ(model_of_json(json_of_model(*model), "again")->pattern, pattern);
}

TEST(TokenizerJson, PublishedPreTokenizersAreRecognised) {
  const json level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const std::string cl100k_old =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+)"
      R"([\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string cl100k_new =
      R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
      R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
  const std::string gpt2_new =
      R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)";
  expect_pattern(sequence(split_of(cl100k_old), level), SplitPattern::cl100k);
  expect_pattern(sequence(split_of(cl100k_new), level), SplitPattern::cl100k);
  expect_pattern(sequence(split_of(gpt2_new), level), SplitPattern::gpt2);
  json digits_level = level;
  digits_level["use_regex"] = true;
  expect_pattern(sequence({{"type", "Digits"}, {"individual_digits", true}}, digits_level),
                 SplitPattern::starcoder);
  const auto regexes = regexes_of(SplitPattern::deepseek);
  json deepseek = sequence(split_of(std::string(regexes[0])), level);
  deepseek["pretokenizers"] = {split_of(std::string(regexes[0])), split_of(std::string(regexes[1])),
                               split_of(std::string(regexes[2])), level};
  expect_pattern(deepseek, SplitPattern::deepseek);
  deepseek["pretokenizers"].erase(1);
  EXPECT_THAT(refusal_with("/pre_tokenizer", deepseek), HasSubstr("and the 1 behind it is none"));
}

TEST(TokenizerJson, ATemplateOfSpecialTokensIsKeptAndChangesNoIds) {
  json file = small_file();
  const std::string plain = Tokenizer::parse(file.dump(), "t.json")->fingerprint();
  file["post_processor"] = {
      {"type", "Sequence"},
      {"processors", {file["post_processor"], {{"type", "TemplateProcessing"}}}}};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  const auto tokenizer = Tokenizer::parse(file.dump(), "t.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->fingerprint(), plain);
  EXPECT_EQ(json::parse(tokenizer->to_json())["post_processor"], file["post_processor"]);
}

TEST(TokenizerJson, ContradictionsAreRefusedWithBothSides) {
  EXPECT_THAT(refusal_with("/model/vocab/b", 0), HasSubstr("the id 0 twice"));
  EXPECT_THAT(refusal_with("/model/vocab/b", -1), HasSubstr("\"b\" is -1"));
  EXPECT_THAT(refusal_with("/model/vocab/b", 99999999999), HasSubstr("\"b\" is 99999999999"));
  EXPECT_THAT(refusal_with("/model/vocab/b", "1"), HasSubstr("\"b\" is string"));
  EXPECT_THAT(refusal_with("/model/merges/0", "a c"),
              HasSubstr("model.merges[0] needs the token \"c\""));
  EXPECT_THAT(refusal_with("/model/merges/0", {"b", "a"}),
              HasSubstr("model.merges[0] needs the token \"ba\""));
  EXPECT_THAT(refusal_with("/model/merges/0", "ab"), HasSubstr("model.merges[0] is neither"));
  EXPECT_THAT(refusal_with("/model/merges/0", "a  b"), HasSubstr("model.merges[0] is neither"));
  EXPECT_THAT(refusal_with("/model/merges/1", {"a", "b"}),
              HasSubstr("model.merges[1] merges \"a\" and \"b\" a second time"));
  EXPECT_THAT(refusal_with("/added_tokens/0/id", 1),
              HasSubstr("has the id 1, model.vocab disagrees"));
  EXPECT_THAT(refusal_with("/added_tokens/0/content", "ab"),
              HasSubstr("has the id 3, model.vocab disagrees"));
  EXPECT_THAT(refusal_with("/added_tokens/1", small_file()["added_tokens"][0]),
              HasSubstr("is there twice"));
  EXPECT_THAT(refusal_with("/added_tokens/0/content", ""),
              HasSubstr("added_tokens[0].content is empty"));
  EXPECT_THAT(refusal_with("/added_tokens/0/special", 1),
              HasSubstr("added_tokens[0].special is number"));
}

TEST(TokenizerJson, MissingPartsAreNamed) {
  for (const char* key :
       {"/model/vocab", "/model/merges", "/model", "/pre_tokenizer", "/added_tokens/0/lstrip",
        "/added_tokens/0/id", "/pre_tokenizer/add_prefix_space"}) {
    const json whole = small_file();
    const json::json_pointer pointer(key);
    json cut = whole;
    cut[pointer.parent_pointer()].erase(pointer.back());
    EXPECT_THAT(refusal(cut.dump()), HasSubstr(pointer.back() + " is missing"));
  }
}

TEST(TokenizerJson, AKeyThatStandsTwiceIsRefused) {
  std::string text = small_file().dump();
  text.replace(text.find("\"b\":1"), 5, "\"a\":1");
  EXPECT_THAT(refusal(text), HasSubstr("the key \"a\" stands twice"));
}

TEST(TokenizerJson, EveryCutAndEveryChangedByteIsRefusedOrHarmless) {
  const std::string text = small_file().dump();
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(refusal(text.substr(0, size)), HasSubstr("was the file cut short?")) << size;
  }
  int refused_count = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const int change : {1, 255, 4, 32}) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      const auto result = Tokenizer::parse(damaged, "t.json");
      if (!result.ok()) {
        EXPECT_EQ(result.error().kind, ErrorKind::refused);
        ++refused_count;
      } else {
        EXPECT_EQ(Tokenizer::parse(result->to_json(), "again")->fingerprint(),
                  result->fingerprint());
      }
    }
  }
  EXPECT_GT(refused_count, static_cast<int>(3 * text.size()));
}

TEST(TokenizerJson, AMissingFileIsRefusedByName) {
  const auto result = Tokenizer::load(Env::real(), golden_path("nothing.json"));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::refused);
  EXPECT_THAT(result.error().message, HasSubstr("nothing.json"));
}

TEST(ByteAlphabet, SpellsEachByteAsOneCharacterAndBack) {
  std::string bytes;
  for (const std::uint8_t byte : bytes_by_character()) bytes += static_cast<char>(byte);
  EXPECT_EQ(bytes_of_spelling(spell_bytes(bytes)), bytes);
  EXPECT_EQ(spell_bytes(" \n!\xff"), "\u0120\u010a!\u00ff");
  EXPECT_EQ(bytes.substr(0, 3), "!\"#");
  EXPECT_EQ(bytes.back(), '\xad');
  EXPECT_EQ(bytes_of_spelling(" "), std::nullopt);
  EXPECT_EQ(bytes_of_spelling("a\u0144"), std::nullopt);
  EXPECT_EQ(bytes_of_spelling("\xff"), std::nullopt);
}

}  // namespace
}  // namespace boreal::text
