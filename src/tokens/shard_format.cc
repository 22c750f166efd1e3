#include "tokens/shard_format.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/hash.h"

namespace boreal::tokens {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kHashDigits = 32;
constexpr std::string_view kSealBegin = "  \"self_xxh3_128\": \"";
constexpr std::string_view kSealEnd = "\"\n}\n";

Result<std::int64_t> count_at(const Json& map, const char* key, std::int64_t least) {
  const auto it = map.find(key);
  if (it == map.end() || !it->is_number_integer()) return refused("\"{}\" is no whole number", key);
  const auto value = it->get<std::int64_t>();
  if (value < least) return refused("\"{}\" is {}, below {}", key, value, least);
  return value;
}

Result<std::string> text_at(const Json& map, const char* key) {
  const auto it = map.find(key);
  if (it == map.end() || !it->is_string()) return refused("\"{}\" is no string", key);
  return it->get<std::string>();
}

Result<ShardMeta> meta_of(const Json& map) {
  if (!map.is_object()) return refused("not a JSON object");
  ASSIGN_OR_RETURN(const auto version, count_at(map, "version", 0));
  if (version != kMetaVersion)
    return refused("version {}, this program reads version {}", version, kMetaVersion);
  ShardMeta meta;
  ASSIGN_OR_RETURN(meta.tokenizer, text_at(map, "tokenizer"));
  ASSIGN_OR_RETURN(meta.vocab, count_at(map, "vocab", 1));
  ASSIGN_OR_RETURN(meta.documents, count_at(map, "documents", 0));
  ASSIGN_OR_RETURN(meta.tokens, count_at(map, "tokens", 0));
  ASSIGN_OR_RETURN(meta.loss_tokens, count_at(map, "loss_tokens", 0));
  ASSIGN_OR_RETURN(meta.max_id, count_at(map, "max_id", -1));
  ASSIGN_OR_RETURN(const auto dtype, text_at(map, "dtype"));
  if (dtype != name_of(DType::u16) && dtype != name_of(DType::i32))
    return refused("\"dtype\" is {}, not {} or {}", dtype, name_of(DType::u16),
                   name_of(DType::i32));
  meta.dtype = dtype == name_of(DType::u16) ? DType::u16 : DType::i32;
  const auto files = map.find("files");
  if (files == map.end() || !files->is_object()) return refused("\"files\" is no map");
  for (std::size_t f = 0; f < kShardFiles; ++f) {
    const auto file = files->find(std::string(kFileKeys[f]));
    if (file == files->end() || !file->is_object())
      return refused("\"files\" does not describe .{}", kFileKeys[f]);
    ASSIGN_OR_RETURN(const auto bytes, count_at(*file, "bytes", 0));
    meta.files[f].bytes = static_cast<std::uint64_t>(bytes);
    ASSIGN_OR_RETURN(meta.files[f].xxh3, text_at(*file, "xxh3_128"));
  }
  return meta;
}

}  // namespace

std::string shard_path(const std::string& prefix, ShardFile file) {
  return fmt::format("{}.{}", prefix, kFileKeys[file]);
}

std::string render_meta(const ShardMeta& meta) {
  std::string text = fmt::format(
      "{{\n  \"format\": \"boreal token shard\",\n  \"version\": {},\n  \"tokenizer\": {},\n"
      "  \"vocab\": {},\n  \"dtype\": \"{}\",\n  \"documents\": {},\n  \"tokens\": {},\n"
      "  \"loss_tokens\": {},\n  \"max_id\": {},\n  \"files\": {{\n",
      kMetaVersion, Json(meta.tokenizer).dump(-1, ' ', true, Json::error_handler_t::replace),
      meta.vocab, name_of(meta.dtype), meta.documents, meta.tokens, meta.loss_tokens, meta.max_id);
  for (std::size_t f = 0; f < kShardFiles; ++f) {
    text += fmt::format("    \"{}\": {{\"bytes\": {}, \"xxh3_128\": \"{}\"}}{}\n", kFileKeys[f],
                        meta.files[f].bytes, meta.files[f].xxh3, f + 1 < kShardFiles ? "," : "");
  }
  text += "  },\n";
  return fmt::format("{}{}{}{}", text, kSealBegin, xxh3_128_hex(text), kSealEnd);
}

Result<ShardMeta> parse_meta(std::string_view text, const std::string& name) {
  const std::size_t seal_bytes = kSealBegin.size() + kHashDigits + kSealEnd.size();
  if (text.size() < seal_bytes)
    return refused("{}: {} bytes cannot be a shard's meta file; was the copy cut short?", name,
                   text.size());
  const std::string_view body = text.substr(0, text.size() - seal_bytes);
  const std::string_view seal = text.substr(body.size());
  const std::string actual = xxh3_128_hex(body);
  if (seal != fmt::format("{}{}{}", kSealBegin, actual, kSealEnd)) {
    return refused(
        "{}: its last line should hold the hash {} of the lines before; damaged, or edited by "
        "hand?",
        name, actual);
  }
  const Json map = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (map.is_discarded()) return refused("{}: not JSON", name);
  auto meta = meta_of(map);
  if (!meta.ok()) return std::move(meta).error().within(name);
  return meta;
}

std::uint8_t idx_code_of(DType dtype) {
  CHECK(dtype == DType::u16 || dtype == DType::i32, "{}", name_of(dtype));
  return dtype == DType::u16 ? 8 : 4;
}

Result<DType> dtype_of_idx_code(std::uint8_t code) {
  if (code == 8) return DType::u16;
  if (code == 4) return DType::i32;
  return refused("element type {} does not hold token ids; 8 (u16) or 4 (i32) expected", code);
}

}  // namespace boreal::tokens
