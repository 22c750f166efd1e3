#include "ckpt/manifest_json.h"

#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/hash.h"

namespace boreal::ckpt {

namespace {

using json = nlohmann::ordered_json;  // keeps the caller's order of keys

constexpr std::string_view kManifestFormat = "boreal-checkpoint";
constexpr std::string_view kVoteFormat = "boreal-checkpoint-vote";
constexpr std::size_t kHashDigits = 32;
constexpr std::array kTypes = {DType::f32, DType::bf16, DType::f64, DType::i32,
                               DType::i64, DType::u8,   DType::u16};

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The last line of a sealed text: the hash of all bytes before it.
std::string seal_of(std::string_view body) {
  return fmt::format("\"xxh3_128\": \"{}\"}}\n", xxh3_128_hex(body));
}

std::string sealed(std::string body) {
  body += seal_of(body);
  return body;
}

Status check_seal(const std::string& file, std::string_view text) {
  const std::size_t seal_bytes = seal_of("").size();
  if (text.size() < seal_bytes)
    return refused("{}: holds {} bytes, its seal alone has {}; was the copy cut short?", file,
                   text.size(), seal_bytes);
  const std::string_view found = text.substr(text.size() - seal_bytes);
  const std::string wanted = seal_of(text.substr(0, text.size() - seal_bytes));
  if (found != wanted) {
    const std::size_t hash_begin = wanted.find(": \"") + 3;
    std::string shown(found.substr(hash_begin, kHashDigits));
    for (char& c : shown) c = c >= ' ' && c <= '~' ? c : '?';
    return refused(
        "{}: its last line says XXH3-128 {}, its content gives {}; it is damaged or was "
        "edited",
        file, shown, wanted.substr(hash_begin, kHashDigits));
  }
  return Done{};
}

json shape_json(const tensor::Shape& shape) {
  json out = json::array();
  for (std::int64_t i = 0; i < shape.rank(); ++i) out.push_back(shape[i]);
  return out;
}

json tensor_json(const TensorRecord& tensor) {
  json pieces = json::array();
  for (const PieceRecord& piece : tensor.pieces) {
    pieces.push_back({{"offset", piece.box.offset},
                      {"shape", shape_json(piece.box.shape)},
                      {"file", piece.file},
                      {"begin", piece.begin},
                      {"bytes", piece.bytes},
                      {"xxh3_128", piece.hash}});
  }
  return {{"name", tensor.name},
          {"dtype", name_of(tensor.dtype)},
          {"shape", shape_json(tensor.shape)},
          {"pieces", std::move(pieces)}};
}

json file_json(const FileRecord& file) {
  json out = {{"name", file.name}, {"bytes", file.bytes}};
  if (!file.hash.empty()) out["xxh3_128"] = file.hash;
  return out;
}

json origin_json(const Origin& origin) {
  json out = {{"spec_hash", origin.spec_hash},
              {"tokenizer_fingerprint", origin.tokenizer_fingerprint},
              {"data_fingerprint", origin.data_fingerprint},
              {"data_position", origin.data_position},
              {"isa", origin.isa}};
  if (!origin.layout.empty()) out["layout"] = origin.layout;
  out["versions"] = origin.versions;
  return out;
}

// One tensor a line, so that people can read and grep it.
std::string lines_of(const std::vector<TensorRecord>& tensors) {
  std::vector<std::string> lines;
  for (const TensorRecord& tensor : tensors) lines.push_back(dump(tensor_json(tensor)));
  return fmt::format("[\n{}]", fmt::join(lines, ",\n"));
}

// Typed access to an object from a file. The first trouble is kept; after it every value is empty.
class Fields {
 public:
  Fields(const json& object, std::string& fault) : object_(object), fault_(fault) {
    if (!object.is_object()) blame("an entry is no object");
  }

  std::int64_t integer(const char* key) {
    const json* value = find(key);
    if (value != nullptr && !value->is_number_integer()) value = wrong(key, "a whole number");
    if (value == nullptr) return 0;
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) {
      wrong(key, "a whole number below 2^63");
      return 0;
    }
    return value->get<std::int64_t>();
  }

  std::string text(const char* key) {
    const json* value = find(key);
    if (value != nullptr && !value->is_string()) value = wrong(key, "a string");
    return value == nullptr ? "" : value->get<std::string>();
  }

  // "" if the key is absent.
  std::string optional_text(const char* key) { return has(key) ? text(key) : ""; }

  std::string hash(const char* key) {
    std::string digits = text(key);
    if (digits.size() != kHashDigits) wrong(key, "32 hex digits");
    return digits;
  }

  std::vector<std::int64_t> integers(const char* key) {
    std::vector<std::int64_t> out;
    for (const json& item : list(key)) {
      if (item.is_number_unsigned() && item.get<std::uint64_t>() <= INT64_MAX) {
        out.push_back(item.get<std::int64_t>());
      } else {
        wrong(key, "a list of whole numbers");
      }
    }
    return out;
  }

  tensor::Shape shape(const char* key) {
    const std::vector<std::int64_t> dims = integers(key);
    if (dims.size() > 4) {
      wrong(key, "a list of at most 4 dims");
      return {};
    }
    return tensor::Shape(std::span(dims));
  }

  DType dtype(const char* key) {
    const std::string name = text(key);
    for (const DType type : kTypes)
      if (name_of(type) == name) return type;
    wrong(key, "a known dtype");
    return DType::f32;
  }

  const json& list(const char* key) {
    static const json empty = json::array();
    const json* value = find(key);
    if (value != nullptr && !value->is_array()) value = wrong(key, "a list");
    return value == nullptr ? empty : *value;
  }

  const json& object(const char* key) {
    static const json empty = json::object();
    const json* value = find(key);
    if (value != nullptr && !value->is_object()) value = wrong(key, "an object");
    return value == nullptr ? empty : *value;
  }

  bool has(const char* key) const { return object_.is_object() && object_.contains(key); }
  bool is_number(const char* key) const { return has(key) && object_[key].is_number(); }
  double number(const char* key) const { return object_[key].get<double>(); }

 private:
  void blame(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }
  const json* find(const char* key) {
    if (has(key)) return &object_[key];
    blame(fmt::format("the key '{}' is missing", key));
    return nullptr;
  }
  const json* wrong(const char* key, std::string_view wanted) {
    blame(fmt::format("'{}' is not {}", key, wanted));
    return nullptr;
  }

  const json& object_;
  std::string& fault_;
};

FileRecord file_of(const json& object, std::string& fault) {
  Fields fields(object, fault);
  FileRecord file;
  file.name = fields.text("name");
  file.bytes = fields.integer("bytes");
  if (fields.has("xxh3_128")) file.hash = fields.hash("xxh3_128");
  return file;
}

TensorRecord tensor_of(const json& object, std::string& fault) {
  Fields fields(object, fault);
  TensorRecord tensor;
  tensor.name = fields.text("name");
  tensor.dtype = fields.dtype("dtype");
  tensor.shape = fields.shape("shape");
  for (const json& item : fields.list("pieces")) {
    Fields piece(item, fault);
    tensor.pieces.push_back({.box = {piece.integers("offset"), piece.shape("shape")},
                             .file = piece.text("file"),
                             .begin = piece.integer("begin"),
                             .bytes = piece.integer("bytes"),
                             .hash = piece.hash("xxh3_128")});
  }
  return tensor;
}

Origin origin_of(const json& object, std::string& fault) {
  Fields fields(object, fault);
  Origin origin;
  origin.spec_hash = fields.text("spec_hash");
  origin.tokenizer_fingerprint = fields.text("tokenizer_fingerprint");
  origin.data_fingerprint = fields.optional_text("data_fingerprint");
  origin.data_position = fields.integer("data_position");
  origin.isa = fields.text("isa");
  origin.layout = fields.optional_text("layout");
  const json& versions = fields.object("versions");
  Fields versions_fields(versions, fault);
  for (const auto& [library, version] : versions.items())
    origin.versions[library] = versions_fields.text(library.c_str());
  return origin;
}

// The JSON object of a sealed text of this format.
Result<json> parse_sealed(const std::string& file, const std::string& text,
                          std::string_view format) {
  RETURN_IF_ERROR(check_seal(file, text));
  json object = json::parse(text, nullptr, false);
  if (object.is_discarded()) return refused("{}: not valid JSON", file);
  std::string fault;
  Fields fields(object, fault);
  const std::string found = fields.text("format");
  const std::int64_t version = fields.integer("version");
  if (!fault.empty()) return refused("{}: {}", file, fault);
  if (found != format) return refused("{}: is a '{}', not a '{}'", file, found, format);
  if (version != kFormatVersion)
    return refused(
        "{}: has format version {}, this program reads {}; was it written by a newer one?", file,
        version, kFormatVersion);
  return object;
}

std::string opening(std::string_view format, std::int64_t step) {
  return fmt::format("{{\"format\": \"{}\",\n\"version\": {},\n\"step\": {},\n", format,
                     kFormatVersion, step);
}

}  // namespace

Result<std::string> encode(const Manifest& manifest) {
  const json meta = json::parse(manifest.meta_json, nullptr, false);
  if (!meta.is_object())
    return failed("the metadata for the checkpoint of step {} are no JSON object: {:.60}",
                  manifest.step, manifest.meta_json);
  std::vector<std::string> files;
  for (const FileRecord& file : manifest.files) files.push_back(dump(file_json(file)));
  const json loss = manifest.loss ? json(*manifest.loss) : json();
  return sealed(opening(kManifestFormat, manifest.step) +
                fmt::format("\"ranks\": {},\n\"loss\": {},\n\"origin\": {},\n\"meta\": {},\n"
                            "\"files\": [\n{}],\n\"tensors\": {},\n",
                            manifest.ranks, dump(loss), dump(origin_json(manifest.origin)),
                            dump(meta), fmt::join(files, ",\n"), lines_of(manifest.tensors)));
}

Result<Manifest> parse_manifest(const std::string& file, const std::string& text) {
  ASSIGN_OR_RETURN(const json object, parse_sealed(file, text, kManifestFormat));
  std::string fault;
  Fields fields(object, fault);
  Manifest manifest;
  manifest.step = fields.integer("step");
  manifest.ranks = fields.integer("ranks");
  if (fields.is_number("loss")) manifest.loss = fields.number("loss");
  manifest.origin = origin_of(fields.object("origin"), fault);
  manifest.meta_json = dump(fields.object("meta"));
  for (const json& item : fields.list("files")) manifest.files.push_back(file_of(item, fault));
  for (const json& item : fields.list("tensors"))
    manifest.tensors.push_back(tensor_of(item, fault));
  if (fault.empty() && (manifest.step < 0 || manifest.ranks < 1 ||
                        manifest.ranks > static_cast<std::int64_t>(manifest.files.size())))
    fault = fmt::format("step {} of {} ranks in {} files", manifest.step, manifest.ranks,
                        manifest.files.size());
  if (!fault.empty()) return refused("{}: {}", file, fault);
  return manifest;
}

std::string encode(const Vote& vote) {
  return sealed(opening(kVoteFormat, vote.step) +
                fmt::format("\"rank\": {},\n\"file\": {},\n\"tensors\": {},\n", vote.rank,
                            dump(file_json(vote.file)), lines_of(vote.tensors)));
}

Result<Vote> decode_vote(const std::string& file, const std::string& text) {
  ASSIGN_OR_RETURN(const json object, parse_sealed(file, text, kVoteFormat));
  std::string fault;
  Fields fields(object, fault);
  Vote vote;
  vote.step = fields.integer("step");
  vote.rank = fields.integer("rank");
  vote.file = file_of(fields.object("file"), fault);
  for (const json& item : fields.list("tensors")) vote.tensors.push_back(tensor_of(item, fault));
  if (!fault.empty()) return refused("{}: {}", file, fault);
  return vote;
}

}  // namespace boreal::ckpt
