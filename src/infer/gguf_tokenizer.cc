#include "infer/gguf_tokenizer.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "text/tokenizer_model.h"

namespace boreal::infer {

namespace {

constexpr const char* kWhole = "tokenizer.huggingface.json";
constexpr const char* kModel = "tokenizer.ggml.model";
// Types of tokens as llama.cpp numbers them.
constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kControl = 3;
constexpr std::int32_t kUserDefined = 4;
constexpr std::int32_t kUnused = 5;

// llama.cpp splits text like GPT-2, and does nothing else to it.
bool splits_alike(const text::TokenizerModel& model) {
  return model.pattern == text::SplitPattern::gpt2 && !model.nfc && !model.add_prefix_space &&
         !model.ignore_merges;
}

std::string merge_text(const nlohmann::json& merge) {
  if (merge.is_string()) return merge;
  return merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
}

void add_lists(const nlohmann::json& json, std::int64_t vocab, tensor::GgufFacts& facts) {
  std::vector<std::string> tokens(static_cast<std::size_t>(vocab));
  std::vector<std::int32_t> types(tokens.size(), kUnused);
  // Ids beyond the tokenizer's, which a padded table has, need spellings of their own.
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = fmt::format("[PAD{}]", i);
  const auto set = [&](std::size_t id, const std::string& token, std::int32_t type) {
    tokens[id] = token;
    types[id] = type;
  };
  for (const auto& [token, id] : json.at("model").at("vocab").items())
    set(id.get<std::size_t>(), token, kNormal);
  for (const auto& added : json.at("added_tokens"))
    set(added.at("id").get<std::size_t>(), added.at("content"),
        added.at("special").get<bool>() ? kControl : kUserDefined);
  std::vector<std::string> merges;
  for (const auto& merge : json.at("model").at("merges")) merges.push_back(merge_text(merge));
  facts.text(kModel, "gpt2");
  facts.text("tokenizer.ggml.pre", "gpt-2");
  facts.texts("tokenizer.ggml.tokens", tokens);
  facts.i32s("tokenizer.ggml.token_type", types);
  facts.texts("tokenizer.ggml.merges", merges);
  facts.boolean("tokenizer.ggml.add_bos_token", false);
}

}  // namespace

Result<GgufTokenizer> add_tokenizer_facts(const std::string& tokenizer_json, std::int64_t vocab,
                                          tensor::GgufFacts& facts) {
  if (tokenizer_json.empty()) {
    facts.text(kModel, "no_vocab");
    return GgufTokenizer::none;
  }
  ASSIGN_OR_RETURN(const auto model, text::model_of_json(tokenizer_json, "tokenizer.json"));
  ASSIGN_OR_RETURN(const auto tokenizer, text::Tokenizer::parse(tokenizer_json, "tokenizer.json"));
  if (tokenizer.vocab_size() > vocab)
    return refused("tokenizer.json has {} ids, but the model has {}", tokenizer.vocab_size(),
                   vocab);
  const bool alike = splits_alike(model);
  if (alike)
    add_lists(nlohmann::json::parse(tokenizer.to_json()), vocab, facts);
  else
    facts.text(kModel, "no_vocab");
  if (const auto end = tokenizer.end_of_text()) {
    facts.u32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(*end));
    facts.u32("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(*end));
  }
  facts.text(kWhole, tokenizer_json);
  return alike ? GgufTokenizer::whole : GgufTokenizer::ids_only;
}

Result<std::string> gguf_tokenizer_json(const tensor::GgufFile& file) {
  if (file.has(kWhole)) return file.text(kWhole);
  return tokenizer_of_lists(file);
}

Result<std::string> tokenizer_of_lists(const tensor::GgufFile& file) {
  if (!file.has(kModel)) return std::string();
  ASSIGN_OR_RETURN(const std::string kind, file.text(kModel));
  if (kind == "no_vocab") return std::string();
  std::string split;
  if (file.has("tokenizer.ggml.pre")) {
    ASSIGN_OR_RETURN(split, file.text("tokenizer.ggml.pre"));
  }
  // Other kinds split text in ways that we do not have; ids still work.
  if (kind != "gpt2" || split != "gpt-2") return std::string();
  ASSIGN_OR_RETURN(const auto tokens, file.texts("tokenizer.ggml.tokens"));
  ASSIGN_OR_RETURN(const auto merges, file.texts("tokenizer.ggml.merges"));
  std::vector<std::int64_t> types(tokens.size(), kNormal);
  if (file.has("tokenizer.ggml.token_type")) {
    ASSIGN_OR_RETURN(types, file.integers("tokenizer.ggml.token_type"));
  }
  if (types.size() != tokens.size())
    return refused("{}: {} tokens, but {} token types", file.path(), tokens.size(), types.size());
  nlohmann::ordered_json added = nlohmann::ordered_json::array();
  nlohmann::ordered_json vocab = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (types[i] == kUnused) continue;
    vocab[tokens[i]] = i;
    if (types[i] != kControl && types[i] != kUserDefined) continue;
    added.push_back({{"id", i},
                     {"content", tokens[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[i] == kControl}});
  }
  const nlohmann::ordered_json level = {{"type", "ByteLevel"},
                                        {"add_prefix_space", false},
                                        {"trim_offsets", true},
                                        {"use_regex", true}};
  const nlohmann::ordered_json json = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", level},
      {"post_processor", nullptr},
      {"decoder", level},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  return json.dump();
}

}  // namespace boreal::infer
