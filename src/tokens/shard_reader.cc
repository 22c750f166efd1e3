#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "tokens/shard.h"
#include "tokens/shard_format.h"

namespace boreal::tokens {

namespace {

// Everything after byte 33 of .idx is misaligned, so values are copied out.
template <class T>
T load(std::span<const std::byte> bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::span<const std::uint8_t> as_u8(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

// The arrays of a mapped .idx. Made by parse_idx, which checked that they lie inside the file.
struct Idx {
  std::span<const std::byte> bytes;
  DType dtype = DType::u16;
  std::uint64_t sequences = 0;
  std::uint64_t entries = 1;  // documents + 1

  std::int64_t length(std::uint64_t s) const {
    return load<std::int32_t>(bytes, kIdxHeaderBytes + 4 * s);
  }
  std::int64_t pointer(std::uint64_t s) const {
    return load<std::int64_t>(bytes, kIdxHeaderBytes + 4 * sequences + 8 * s);
  }
  std::int64_t document_end(std::uint64_t entry) const {
    return load<std::int64_t>(bytes, kIdxHeaderBytes + 12 * sequences + 8 * entry);
  }
};

Result<Idx> parse_idx(std::span<const std::byte> bytes) {
  if (bytes.size() < kIdxHeaderBytes)
    return refused("{} bytes, fewer than the {} of the header; was the copy cut short?",
                   bytes.size(), kIdxHeaderBytes);
  if (std::memcmp(bytes.data(), kIdxMagic.data(), kIdxMagic.size()) != 0)
    return refused("does not begin with MMIDIDX: no Megatron index");
  if (const auto version = load<std::uint64_t>(bytes, 9); version != kIdxVersion)
    return refused("version {}, {} expected", version, kIdxVersion);
  Idx idx{.bytes = bytes};
  ASSIGN_OR_RETURN(idx.dtype, dtype_of_idx_code(load<std::uint8_t>(bytes, 17)));
  idx.sequences = load<std::uint64_t>(bytes, 18);
  idx.entries = load<std::uint64_t>(bytes, 26);
  // Each count is bounded by the size before it is multiplied, so that no product overflows.
  if (idx.sequences > bytes.size() / 12 || idx.entries > bytes.size() / 8 ||
      kIdxHeaderBytes + 12 * idx.sequences + 8 * idx.entries != bytes.size()) {
    return refused(
        "the header says {} sequences and {} document entries, which do not make {} bytes; was the "
        "copy cut short?",
        idx.sequences, idx.entries, bytes.size());
  }
  if (idx.entries < 1) return refused("the list of documents is empty; it should begin with 0");
  return idx;
}

// Sequences must tile .bin from its first byte to its last, documents must tile the sequences.
Status check_bounds(const Idx& idx, std::uint64_t bin_bytes) {
  const auto id_bytes = static_cast<std::int64_t>(bytes_of(idx.dtype));
  std::int64_t expected = 0;
  for (std::uint64_t s = 0; s < idx.sequences; ++s) {
    if (idx.length(s) < 0) return refused("sequence {} has a length of {}", s, idx.length(s));
    if (idx.pointer(s) != expected)
      return refused("sequence {} begins at byte {}, but those before it end at {}", s,
                     idx.pointer(s), expected);
    expected += idx.length(s) * id_bytes;
  }
  if (static_cast<std::uint64_t>(expected) != bin_bytes)
    return refused("it describes {} bytes of tokens, but .bin has {}; was a copy cut short?",
                   expected, bin_bytes);
  std::int64_t last = 0;
  for (std::uint64_t d = 0; d < idx.entries; ++d) {
    const std::int64_t end = idx.document_end(d);
    if (d == 0 ? end != 0 : end < last)
      return refused("document entry {} is {} after {}", d, end, last);
    last = end;
  }
  if (static_cast<std::uint64_t>(last) != idx.sequences)
    return refused("its documents hold {} sequences of {}", last, idx.sequences);
  return Done{};
}

Result<std::vector<std::uint64_t>> find_lines(std::span<const std::byte> bytes,
                                              std::int64_t documents) {
  std::vector<std::uint64_t> begins = {0};
  const std::byte* const data = bytes.data();
  std::uint64_t at = 0;
  while (at < bytes.size()) {
    const void* newline = std::memchr(data + at, '\n', bytes.size() - at);
    if (newline == nullptr) return refused("its last line has no end; was the copy cut short?");
    at = static_cast<std::uint64_t>(static_cast<const std::byte*>(newline) - data) + 1;
    begins.push_back(at);
  }
  if (static_cast<std::int64_t>(begins.size()) - 1 != documents)
    return refused("{} lines for {} documents", begins.size() - 1, documents);
  return begins;
}

}  // namespace

struct ShardReader::Parts {
  ShardInfo info;
  std::optional<ShardMeta> meta;
  // .loss and .jsonl: null in a plain Megatron shard.
  std::array<std::unique_ptr<MappedFile>, kShardFiles> maps;
  Idx idx;

  mutable std::once_flag lines_once;
  mutable Result<std::vector<std::uint64_t>> lines = std::vector<std::uint64_t>{};

  std::string path(std::size_t f) const {
    return shard_path(info.prefix, static_cast<ShardFile>(f));
  }
  std::span<const std::byte> bytes(ShardFile f) const { return maps[f]->bytes(); }

  Status open_meta(Env& env, ShardReaderOptions options);
  Status open_files(Env& env);
  Status compare_with_meta() const;
  Status verify_hash(ShardFile f) const;
  void read_ids(std::int64_t begin, std::span<std::int32_t> out) const;
  Status verify_ids() const;
  Status verify_loss() const;
  const Result<std::vector<std::uint64_t>>& find_lines_once() const;
};

Status ShardReader::Parts::open_meta(Env& env, ShardReaderOptions options) {
  const std::string meta_path = info.prefix + std::string(kMetaSuffix);
  if (env.exists(meta_path)) {
    ASSIGN_OR_RETURN(const std::string text, env.read_file(meta_path));
    ASSIGN_OR_RETURN(meta, parse_meta(text, meta_path));
    info.bytes += text.size();
    return Done{};
  }
  for (const ShardFile f : {kLoss, kJsonl}) {
    if (env.exists(path(f)))
      return refused("{} is missing beside {}: the shard was never finished; write it again",
                     meta_path, path(f));
  }
  if (!env.exists(path(kIdx)) && !env.exists(path(kBin)))
    return refused("no token shard at {}: neither {} nor .bin and .idx are there", info.prefix,
                   meta_path);
  if (!options.meta_optional)
    return refused(
        "{} is missing, so nothing tells the tokenizer of {}; was it left behind by a copy?",
        meta_path, path(kBin));
  return Done{};
}

Status ShardReader::Parts::open_files(Env& env) {
  for (std::size_t f = 0; f < kShardFiles; ++f) {
    if (!meta && (f == kLoss || f == kJsonl)) continue;
    ASSIGN_OR_RETURN(maps[f], env.map_file(path(f)));
    const std::uint64_t size = maps[f]->bytes().size();
    info.bytes += size;
    if (meta && size != meta->files[f].bytes)
      return refused("{} has {} bytes, its meta file says {}; was the copy cut short?", path(f),
                     size, meta->files[f].bytes);
  }
  return Done{};
}

Status ShardReader::Parts::compare_with_meta() const {
  const auto differs = [&](std::string_view what, auto here, auto there) {
    return refused("{}.idx says {} {}, its meta file {}; they belong to different shards",
                   info.prefix, what, here, there);
  };
  if (info.dtype != meta->dtype)
    return differs("ids of", name_of(info.dtype), name_of(meta->dtype));
  if (info.tokens != meta->tokens) return differs("tokens", info.tokens, meta->tokens);
  if (info.documents != meta->documents)
    return differs("documents", info.documents, meta->documents);
  if (meta->files[kLoss].bytes != static_cast<std::uint64_t>(info.tokens))
    return refused("{} has {} bytes for {} tokens", path(kLoss), meta->files[kLoss].bytes,
                   info.tokens);
  return Done{};
}

Result<ShardReader> ShardReader::open(Env& env, const std::string& prefix,
                                      ShardReaderOptions options) {
  auto parts = std::make_unique<Parts>();
  Parts& p = *parts;
  p.info.prefix = prefix;
  RETURN_IF_ERROR(p.open_meta(env, options));
  RETURN_IF_ERROR(p.open_files(env));
  auto idx = parse_idx(p.bytes(kIdx));
  if (!idx.ok()) return std::move(idx).error().within(p.path(kIdx));
  p.idx = *idx;
  const std::uint64_t bin_bytes = p.bytes(kBin).size();
  if (auto bounds = check_bounds(p.idx, bin_bytes); !bounds.ok())
    return std::move(bounds).error().within(p.path(kIdx));
  p.info.dtype = p.idx.dtype;
  p.info.documents = static_cast<std::int64_t>(p.idx.entries) - 1;
  p.info.tokens = static_cast<std::int64_t>(bin_bytes / bytes_of(p.idx.dtype));
  p.info.loss_tokens = p.info.tokens;
  p.info.has_meta = p.meta.has_value();
  if (p.meta) {
    RETURN_IF_ERROR(p.compare_with_meta());
    // Read already, and document borders have no redundancy that the checks above could see.
    RETURN_IF_ERROR(p.verify_hash(kIdx));
    p.info.loss_tokens = p.meta->loss_tokens;
    p.info.vocab = p.meta->vocab;
    p.info.max_id = p.meta->max_id;
    p.info.tokenizer_fingerprint = p.meta->tokenizer;
  }
  return ShardReader(std::move(parts));
}

ShardReader::ShardReader(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;
ShardReader::~ShardReader() = default;

Status ShardReader::Parts::verify_hash(ShardFile f) const {
  const std::string actual = xxh3_128_hex(bytes(f));
  if (actual != meta->files[f].xxh3)
    return refused("{} is damaged: its hash is {}, its meta file says {}", path(f), actual,
                   meta->files[f].xxh3);
  return Done{};
}

void ShardReader::Parts::read_ids(std::int64_t begin, std::span<std::int32_t> out) const {
  const auto n = static_cast<std::int64_t>(out.size());
  CHECK(begin >= 0 && n <= info.tokens - begin, "tokens [{}, +{}) of {}", begin, n, info.tokens);
  if (out.empty()) return;
  const std::byte* data =
      bytes(kBin).data() + static_cast<std::uint64_t>(begin) * bytes_of(info.dtype);
  if (info.dtype == DType::i32) {
    std::memcpy(out.data(), data, out.size_bytes());
    return;
  }
  // .bin has no header, so its mapping is aligned.
  const auto* ids = reinterpret_cast<const std::uint16_t*>(data);
  std::copy(ids, ids + n, out.begin());
}

Status ShardReader::Parts::verify_ids() const {
  const std::int64_t vocab = info.vocab > 0 ? info.vocab : std::int64_t{1} << 31;
  std::int64_t highest = -1;
  std::vector<std::int32_t> ids(std::size_t{1} << 14);
  for (std::int64_t at = 0; at < info.tokens; at += static_cast<std::int64_t>(ids.size())) {
    if (static_cast<std::int64_t>(ids.size()) > info.tokens - at)
      ids.resize(static_cast<std::size_t>(info.tokens - at));
    read_ids(at, ids);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= vocab)
        return refused("{}: token {} is {}, outside the vocabulary of {}", path(kBin),
                       at + static_cast<std::int64_t>(i), ids[i], vocab);
      highest = std::max<std::int64_t>(highest, ids[i]);
    }
  }
  if (meta && highest != meta->max_id)
    return refused("{}: its highest id is {}, its meta file says {}", path(kBin), highest,
                   meta->max_id);
  return Done{};
}

Status ShardReader::Parts::verify_loss() const {
  const auto weights = as_u8(bytes(kLoss));
  const auto wrong = std::ranges::find_if(weights, [](std::uint8_t w) { return w > 1; });
  if (wrong != weights.end())
    return refused("{}: byte {} is {}, neither 0 nor 1", path(kLoss), wrong - weights.begin(),
                   *wrong);
  const std::int64_t counted = std::ranges::count(weights, 1);
  if (counted != meta->loss_tokens)
    return refused("{}: {} tokens count in the loss, its meta file says {}", path(kLoss), counted,
                   meta->loss_tokens);
  return Done{};
}

const Result<std::vector<std::uint64_t>>& ShardReader::Parts::find_lines_once() const {
  std::call_once(lines_once, [&] {
    lines = find_lines(bytes(kJsonl), info.documents);
    if (!lines.ok()) lines = std::move(lines).error().within(path(kJsonl));
  });
  return lines;
}

Status ShardReader::verify() const {
  const Parts& p = *parts_;
  if (!p.meta) return p.verify_ids();
  for (const ShardFile f : {kBin, kIdx, kLoss, kJsonl}) RETURN_IF_ERROR(p.verify_hash(f));
  RETURN_IF_ERROR(p.verify_ids());
  RETURN_IF_ERROR(p.verify_loss());
  if (const auto& lines = p.find_lines_once(); !lines.ok()) return lines.error();
  return Done{};
}

const ShardInfo& ShardReader::info() const {
  return parts_->info;
}

std::int64_t ShardReader::document_begin(std::int64_t document) const {
  const Parts& p = *parts_;
  CHECK(document >= 0 && document <= p.info.documents, "document {} of {}", document,
        p.info.documents);
  const auto sequence =
      static_cast<std::uint64_t>(p.idx.document_end(static_cast<std::uint64_t>(document)));
  if (sequence == p.idx.sequences) return p.info.tokens;
  return p.idx.pointer(sequence) / static_cast<std::int64_t>(bytes_of(p.info.dtype));
}

std::int64_t ShardReader::document_tokens(std::int64_t document) const {
  CHECK_LT(document, parts_->info.documents);
  return document_begin(document + 1) - document_begin(document);
}

std::int64_t ShardReader::document_at(std::int64_t token) const {
  CHECK(token >= 0 && token < parts_->info.tokens, "token {} of {}", token, parts_->info.tokens);
  // The last document that begins at or before the token; empty ones before it begin at the same
  // place.
  std::int64_t low = 0;
  std::int64_t high = parts_->info.documents;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (document_begin(middle) <= token ? low : high) = middle;
  }
  return low;
}

void ShardReader::read_ids(std::int64_t begin, std::span<std::int32_t> out) const {
  parts_->read_ids(begin, out);
}

void ShardReader::read_loss(std::int64_t begin, std::span<std::uint8_t> out) const {
  const Parts& p = *parts_;
  const auto n = static_cast<std::int64_t>(out.size());
  CHECK(begin >= 0 && n <= p.info.tokens - begin, "tokens [{}, +{}) of {}", begin, n,
        p.info.tokens);
  if (!p.meta) {
    std::ranges::fill(out, std::uint8_t{1});
    return;
  }
  const auto weights = as_u8(p.bytes(kLoss)).subspan(static_cast<std::size_t>(begin), out.size());
  std::ranges::copy(weights, out.begin());
}

std::vector<std::int32_t> ShardReader::ids_of(std::int64_t document) const {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(document_tokens(document)));
  read_ids(document_begin(document), ids);
  return ids;
}

Result<std::string_view> ShardReader::provenance(std::int64_t document) const {
  const Parts& p = *parts_;
  CHECK(document >= 0 && document < p.info.documents, "document {} of {}", document,
        p.info.documents);
  if (!p.meta) return std::string_view{};
  const auto& lines = p.find_lines_once();
  if (!lines.ok()) return lines.error();
  const auto d = static_cast<std::size_t>(document);
  const auto bytes = p.bytes(kJsonl).subspan((*lines)[d], (*lines)[d + 1] - (*lines)[d] - 1);
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace boreal::tokens
