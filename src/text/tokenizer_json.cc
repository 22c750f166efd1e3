// tokenizer.json of Hugging Face tokenizers, the byte-level BPE kind, to and from TokenizerModel.
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/json_fields.h"
#include "text/pre_tokenizer_json.h"
#include "text/tokenizer_model.h"
#include "text/unicode.h"

namespace boreal::text {

namespace {

using nlohmann::json;

// Ids are indices of a table, so a damaged one must not make it huge.
constexpr std::int64_t kIdEnd = std::int64_t{1} << 24;

Result<TokenId> id_from(const json& value, std::string_view token) {
  if (!value.is_number_integer()) {
    return refused("the id of the token {} is {}, a number is wanted", shown(token),
                   value.type_name());
  }
  const auto id = value.get<std::int64_t>();
  if (id < 0 || id >= kIdEnd) {
    return refused("the id of the token {} is {}, ids lie in 0..{}", shown(token), id, kIdEnd - 1);
  }
  return static_cast<TokenId>(id);
}

Status refuse_unless_empty(JsonFields& fields, const std::string& key, const char* why) {
  const json* const value = fields.find(key);
  if (value == nullptr || *value == "" || *value == false || *value == 0.0) return Done{};
  return refused("{} is set, which boreal does not have: {}", fields.place_of(key), why);
}

// Spelling -> id while a file is read; the spellings lie in the parsed file.
using Spellings = std::unordered_map<std::string_view, TokenId>;

Result<Spellings> read_vocabulary(const json& value, TokenizerModel& model) {
  if (!value.is_object())
    return refused("model.vocab is {}, an object is wanted", value.type_name());
  Spellings spellings;
  spellings.reserve(value.size());
  for (auto item = value.begin(); item != value.end(); ++item) {
    const std::string& spelling = item.key();
    ASSIGN_OR_RETURN(const TokenId id, id_from(*item, spelling));
    const auto at = static_cast<std::size_t>(id);
    if (at >= model.vocabulary.size()) model.vocabulary.resize(at + 1);
    if (model.vocabulary[at])
      return refused("model.vocab gives the id {} twice, also to {}", id, shown(spelling));
    auto bytes = bytes_of_spelling(spelling);
    const bool in_alphabet = bytes.has_value();
    model.vocabulary[at] = {in_alphabet ? std::move(*bytes) : spelling, in_alphabet};
    spellings.emplace(spelling, id);
  }
  return spellings;
}

struct MergeSides {
  std::string_view left;
  std::string_view right;
};

Result<MergeSides> merge_sides(const json& value, std::size_t rank) {
  if (value.is_string()) {
    const std::string_view line = value.get_ref<const std::string&>();
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos && line.find(' ', blank + 1) == std::string_view::npos) {
      return MergeSides{line.substr(0, blank), line.substr(blank + 1)};
    }
  } else if (value.is_array() && value.size() == 2 && value[0].is_string() &&
             value[1].is_string()) {
    return MergeSides{value[0].get_ref<const std::string&>(),
                      value[1].get_ref<const std::string&>()};
  }
  return refused("model.merges[{}] is neither \"left right\" nor [\"left\", \"right\"]", rank);
}

Status read_merges(const json& value, const Spellings& spellings, TokenizerModel& model) {
  if (!value.is_array())
    return refused("model.merges is {}, an array is wanted", value.type_name());
  MergeTable seen(value.size());
  model.merges.reserve(value.size());
  std::string joined;
  for (std::size_t rank = 0; rank < value.size(); ++rank) {
    ASSIGN_OR_RETURN(const MergeSides sides, merge_sides(value[rank], rank));
    joined.assign(sides.left).append(sides.right);
    std::array<TokenId, 3> ids{};
    const std::array<std::string_view, 3> needed = {sides.left, sides.right, joined};
    for (std::size_t i = 0; i < 3; ++i) {
      const auto found = spellings.find(needed[i]);
      if (found == spellings.end()) {
        return refused("model.merges[{}] needs the token {}, which model.vocab lacks", rank,
                       shown(needed[i]));
      }
      ids[i] = found->second;
    }
    if (!seen.add(ids[0], ids[1], {0, ids[2]})) {
      return refused("model.merges[{}] merges {} and {} a second time", rank, shown(sides.left),
                     shown(sides.right));
    }
    model.merges.push_back({ids[0], ids[1], ids[2]});
  }
  return Done{};
}

Result<Spellings> read_model(const json& value, TokenizerModel& model) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, "model"));
  // Early files do not name the type.
  const json* const type = fields.find("type");
  if (type != nullptr && *type != "BPE")
    return refused("model.type is {}, boreal has BPE", type->dump());
  RETURN_IF_ERROR(refuse_unless_empty(fields, "dropout", "ids would be random"));
  RETURN_IF_ERROR(refuse_unless_empty(fields, "continuing_subword_prefix", "tokens are bytes"));
  RETURN_IF_ERROR(refuse_unless_empty(fields, "end_of_word_suffix", "tokens are bytes"));
  RETURN_IF_ERROR(refuse_unless_empty(fields, "byte_fallback", "tokens are bytes already"));
  RETURN_IF_ERROR(fields.boolean("fuse_unk", false));  // without effect where nothing is unknown
  const json* const unknown = fields.find("unk_token");
  ASSIGN_OR_RETURN(model.ignore_merges, fields.boolean("ignore_merges", false));
  ASSIGN_OR_RETURN(const json* vocabulary, fields.require("vocab"));
  ASSIGN_OR_RETURN(const json* merges, fields.require("merges"));
  RETURN_IF_ERROR(fields.done());
  ASSIGN_OR_RETURN(Spellings spellings, read_vocabulary(*vocabulary, model));
  RETURN_IF_ERROR(read_merges(*merges, spellings, model));
  for (int byte = 0; byte < 256 && unknown != nullptr; ++byte) {
    if (!spellings.contains(spell_bytes(std::string(1, static_cast<char>(byte))))) {
      return refused(
          "model.unk_token is {} and model.vocab lacks the byte {:02X}: boreal has no "
          "unknown tokens",
          unknown->dump(), byte);
    }
  }
  return spellings;
}

Result<AddedToken> read_added_token(const json& value, const std::string& place) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, place));
  AddedToken token;
  ASSIGN_OR_RETURN(const json* id, fields.require("id"));
  ASSIGN_OR_RETURN(token.content, fields.string("content"));
  ASSIGN_OR_RETURN(token.id, id_from(*id, token.content));
  ASSIGN_OR_RETURN(token.single_word, fields.boolean("single_word"));
  ASSIGN_OR_RETURN(token.lstrip, fields.boolean("lstrip"));
  ASSIGN_OR_RETURN(token.rstrip, fields.boolean("rstrip"));
  ASSIGN_OR_RETURN(token.normalized, fields.boolean("normalized"));
  ASSIGN_OR_RETURN(token.special, fields.boolean("special"));
  RETURN_IF_ERROR(fields.done());
  if (token.content.empty()) return refused("{}.content is empty", place);
  return token;
}

Status read_added_tokens(const json& value, const Spellings& spellings, TokenizerModel& model) {
  if (!value.is_array())
    return refused("added_tokens is {}, an array is wanted", value.type_name());
  std::unordered_set<TokenId> ids;
  std::unordered_set<std::string> contents;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string place = fmt::format("added_tokens[{}]", i);
    ASSIGN_OR_RETURN(AddedToken token, read_added_token(value[i], place));
    const auto spelled = spellings.find(token.content);
    const auto at = static_cast<std::size_t>(token.id);
    const bool taken = at < model.vocabulary.size() && model.vocabulary[at];
    if (spelled != spellings.end() ? spelled->second != token.id : taken) {
      return refused("{} ({}) has the id {}, model.vocab disagrees", place, shown(token.content),
                     token.id);
    }
    if (!ids.insert(token.id).second || !contents.insert(token.content).second) {
      return refused("{}: the id {} or the content {} is there twice", place, token.id,
                     shown(token.content));
    }
    model.added_tokens.push_back(std::move(token));
  }
  return Done{};
}

Status read_all(const json& value, TokenizerModel& model) {
  ASSIGN_OR_RETURN(JsonFields fields, JsonFields::of(value, ""));
  const json* const version = fields.find("version");
  if (version != nullptr && *version != "1.0") {
    return refused("version is {}, boreal reads \"1.0\"", version->dump());
  }
  RETURN_IF_ERROR(refuse_unless_empty(fields, "truncation", "cut texts before encoding them"));
  RETURN_IF_ERROR(refuse_unless_empty(fields, "padding", "pad after encoding"));
  if (const json* part = fields.find("normalizer")) RETURN_IF_ERROR(read_normalizer(*part, model));
  ASSIGN_OR_RETURN(const json* pre_tokenizer, fields.require("pre_tokenizer"));
  RETURN_IF_ERROR(read_pre_tokenizer(*pre_tokenizer, model));
  if (const json* part = fields.find("post_processor"))
    RETURN_IF_ERROR(read_post_processor(*part, model));
  if (const json* part = fields.find("decoder"))
    RETURN_IF_ERROR(check_byte_level(*part, "decoder"));
  ASSIGN_OR_RETURN(const json* bpe, fields.require("model"));
  ASSIGN_OR_RETURN(const Spellings spellings, read_model(*bpe, model));
  if (const json* added = fields.find("added_tokens")) {
    RETURN_IF_ERROR(read_added_tokens(*added, spellings, model));
  }
  return fields.done();
}

std::string json_of(std::string_view text) {
  return json(text).dump();
}

std::string spelling_of(const VocabularyEntry& entry) {
  return entry.in_alphabet ? spell_bytes(entry.bytes) : entry.bytes;
}

std::string added_token_json(const AddedToken& token) {
  return fmt::format(R"(    {{"id": {}, "content": {}, "single_word": {}, "lstrip": {}, )"
                     R"("rstrip": {}, "normalized": {}, "special": {}}})",
                     token.id, json_of(token.content), token.single_word, token.lstrip,
                     token.rstrip, token.normalized, token.special);
}

// One item a line, joined by commas.
class Lines {
 public:
  explicit Lines(std::string& out) : out_(out) {}
  void add(const std::string& item) {
    out_ += first_ ? "\n" : ",\n";
    out_ += item;
    first_ = false;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace

Result<TokenizerModel> model_of_json(std::string_view text, const std::string& name) {
  ASSIGN_OR_RETURN(const json value, parse_json(text, name));
  TokenizerModel model;
  if (Status read = read_all(value, model); !read.ok()) {
    return std::move(read).error().within(name);
  }
  return model;
}

std::string json_of_model(const TokenizerModel& model) {
  std::string out = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n";
  out += "  \"added_tokens\": [";
  Lines added(out);
  for (const AddedToken& token : model.added_tokens) {
    added.add(added_token_json(token));
  }
  out += "\n  ],\n";
  out += fmt::format("  \"normalizer\": {},\n", model.nfc ? R"({"type": "NFC"})" : "null");
  out += fmt::format("  \"pre_tokenizer\": {},\n", pre_tokenizer_json(model));
  out += fmt::format("  \"post_processor\": {},\n",
                     model.post_processor.empty() ? "null" : model.post_processor);
  out += fmt::format("  \"decoder\": {},\n", byte_level_json(false, true));
  out += R"(  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
)";
  out += fmt::format("    \"ignore_merges\": {},\n    \"vocab\": {{", model.ignore_merges);
  Lines vocabulary(out);
  for (std::size_t id = 0; id < model.vocabulary.size(); ++id) {
    if (const auto& entry = model.vocabulary[id]) {
      vocabulary.add(fmt::format("      {}: {}", json_of(spelling_of(*entry)), id));
    }
  }
  out += "\n    },\n    \"merges\": [";
  Lines merges(out);
  for (const Merge& merge : model.merges) {
    const auto spelled = [&](TokenId id) {
      return json_of(spelling_of(*model.vocabulary[static_cast<std::size_t>(id)]));
    };
    merges.add(fmt::format("      [{}, {}]", spelled(merge.left), spelled(merge.right)));
  }
  out += "\n    ]\n  }\n}\n";
  return out;
}

}  // namespace boreal::text
