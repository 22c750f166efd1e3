#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "tokens/shard.h"
#include "tokens/shard_format.h"

namespace boreal::tokens {

namespace {

// One file of the shard while it is written: buffered, hashed and counted on the way to its
// temporary name.
class HashedFile {
 public:
  static Result<std::unique_ptr<HashedFile>> create(Env& env, const std::string& path) {
    ASSIGN_OR_RETURN(auto writer, env.create(path));
    return std::make_unique<HashedFile>(std::move(writer));
  }
  explicit HashedFile(std::unique_ptr<FileWriter> writer) : writer_(std::move(writer)) {
    buffer_.reserve(kBufferBytes);
  }

  Status append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t n = std::min(bytes.size(), kBufferBytes - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
      bytes = bytes.subspan(n);
      if (buffer_.size() == kBufferBytes) RETURN_IF_ERROR(flush());
    }
    return Done{};
  }
  Status append(std::string_view text) { return append(std::as_bytes(std::span(text))); }
  template <class T>
  Status append_value(T value) {
    return append(std::as_bytes(std::span(&value, 1)));
  }

  Result<FileRecord> finish() {
    RETURN_IF_ERROR(flush());
    RETURN_IF_ERROR(writer_->sync());
    RETURN_IF_ERROR(writer_->close());
    return FileRecord{bytes_, hash_.hex()};
  }

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

  Status flush() {
    hash_.add(buffer_);
    bytes_ += buffer_.size();
    RETURN_IF_ERROR(writer_->append(std::span<const std::byte>(buffer_)));
    buffer_.clear();
    return Done{};
  }

  std::unique_ptr<FileWriter> writer_;
  std::vector<std::byte> buffer_;
  Xxh3 hash_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

struct ShardWriter::Parts {
  Env& env;
  std::string prefix;
  ShardMeta meta;
  std::array<std::unique_ptr<HashedFile>, kShardFiles> files;
  std::vector<std::int32_t> lengths;
  std::vector<std::uint16_t> narrow;  // scratch of add()
  bool committed = false;

  Parts(Env& env_in, std::string prefix_in) : env(env_in), prefix(std::move(prefix_in)) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() {
    if (committed) return;
    // Nothing can be done about a failure here; the next writer truncates what is left over.
    for (std::size_t f = 0; f < kShardFiles; ++f)
      if (files[f]) (void)env.remove_all(temp_path(f));
    (void)env.remove_all(temp_meta_path());
  }

  std::string path(std::size_t f) const { return shard_path(prefix, static_cast<ShardFile>(f)); }
  std::string temp_path(std::size_t f) const { return path(f) + ".tmp"; }
  std::string meta_path() const { return prefix + std::string(kMetaSuffix); }
  std::string temp_meta_path() const { return meta_path() + ".tmp"; }

  Status check_ids(std::span<const std::int32_t> ids) const;
  Status append_ids(std::span<const std::int32_t> ids);
  Status write_idx();
  Status write_meta(const std::string& text);
};

Status ShardWriter::Parts::check_ids(std::span<const std::int32_t> ids) const {
  if (ids.size() > std::numeric_limits<std::int32_t>::max())
    return refused("{}: document {} has {} tokens; the format holds fewer than 2^31 a document",
                   prefix, meta.documents, ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= meta.vocab)
      return refused(
          "{}: token {} of document {} is {}, outside the vocabulary of {}; another tokenizer?",
          prefix, i, meta.documents, ids[i], meta.vocab);
  }
  return Done{};
}

Status ShardWriter::Parts::append_ids(std::span<const std::int32_t> ids) {
  if (meta.dtype == DType::i32) return files[kBin]->append(std::as_bytes(ids));
  narrow.resize(ids.size());
  std::ranges::transform(ids, narrow.begin(),
                         [](std::int32_t id) { return static_cast<std::uint16_t>(id); });
  return files[kBin]->append(std::as_bytes(std::span(narrow)));
}

Status ShardWriter::Parts::write_idx() {
  HashedFile& idx = *files[kIdx];
  const auto n = static_cast<std::uint64_t>(lengths.size());
  RETURN_IF_ERROR(idx.append(kIdxMagic));
  RETURN_IF_ERROR(idx.append_value(kIdxVersion));
  RETURN_IF_ERROR(idx.append_value(idx_code_of(meta.dtype)));
  RETURN_IF_ERROR(idx.append_value(n));
  RETURN_IF_ERROR(idx.append_value(n + 1));
  RETURN_IF_ERROR(idx.append(std::as_bytes(std::span(lengths))));
  const auto id_bytes = static_cast<std::int64_t>(bytes_of(meta.dtype));
  std::int64_t pointer = 0;
  for (const std::int32_t length : lengths) {
    RETURN_IF_ERROR(idx.append_value(pointer));
    pointer += length * id_bytes;
  }
  for (std::uint64_t document = 0; document <= n; ++document)
    RETURN_IF_ERROR(idx.append_value(document));
  return Done{};
}

Result<ShardWriter> ShardWriter::create(Env& env, const std::string& prefix,
                                        ShardWriterOptions options) {
  CHECK(!prefix.empty());
  if (options.vocab < 1)
    return wrong_usage("{}: a shard needs a vocabulary, not {}", prefix, options.vocab);
  if (options.vocab > std::int64_t{1} << 31)
    return wrong_usage("{}: ids of a vocabulary of {} do not fit 32 bits", prefix, options.vocab);
  auto parts = std::make_unique<Parts>(env, prefix);
  parts->meta.tokenizer = std::move(options.tokenizer_fingerprint);
  parts->meta.vocab = options.vocab;
  parts->meta.dtype = options.vocab < kU16VocabLimit ? DType::u16 : DType::i32;
  for (std::size_t f = 0; f < kShardFiles; ++f) {
    ASSIGN_OR_RETURN(parts->files[f], HashedFile::create(env, parts->temp_path(f)));
  }
  return ShardWriter(std::move(parts));
}

ShardWriter::ShardWriter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ShardWriter::ShardWriter(ShardWriter&&) noexcept = default;
ShardWriter& ShardWriter::operator=(ShardWriter&&) noexcept = default;
ShardWriter::~ShardWriter() = default;

Status ShardWriter::add(std::span<const std::int32_t> ids, std::span<const std::uint8_t> loss,
                        std::string_view provenance) {
  Parts& p = *parts_;
  CHECK(loss.empty() || loss.size() == ids.size(), "{} weights for {} ids", loss.size(),
        ids.size());
  CHECK(std::ranges::all_of(loss, [](std::uint8_t w) { return w <= 1; }));
  CHECK(provenance.find('\n') == std::string_view::npos, "{}", provenance);
  RETURN_IF_ERROR(p.check_ids(ids));
  RETURN_IF_ERROR(p.append_ids(ids));
  const std::vector<std::uint8_t> ones(loss.empty() ? ids.size() : 0, 1);
  const std::span<const std::uint8_t> weights = loss.empty() ? std::span(ones) : loss;
  RETURN_IF_ERROR(p.files[kLoss]->append(std::as_bytes(weights)));
  RETURN_IF_ERROR(p.files[kJsonl]->append(provenance));
  RETURN_IF_ERROR(p.files[kJsonl]->append("\n"));
  p.lengths.push_back(static_cast<std::int32_t>(ids.size()));
  p.meta.documents += 1;
  p.meta.tokens += static_cast<std::int64_t>(ids.size());
  p.meta.loss_tokens += std::ranges::count(weights, 1);
  if (!ids.empty()) p.meta.max_id = std::max<std::int64_t>(p.meta.max_id, std::ranges::max(ids));
  return Done{};
}

Status ShardWriter::Parts::write_meta(const std::string& text) {
  ASSIGN_OR_RETURN(auto writer, env.create(temp_meta_path()));
  RETURN_IF_ERROR(writer->append(text));
  RETURN_IF_ERROR(writer->sync());
  return writer->close();
}

Result<ShardInfo> ShardWriter::commit() {
  Parts& p = *parts_;
  RETURN_IF_ERROR(p.write_idx());
  for (std::size_t f = 0; f < kShardFiles; ++f) {
    ASSIGN_OR_RETURN(p.meta.files[f], p.files[f]->finish());
  }
  const std::string text = render_meta(p.meta);
  RETURN_IF_ERROR(p.write_meta(text));
  // All bytes are on disk; from here on a full disk can do no harm.
  const std::string folder = parent_path(p.prefix);
  RETURN_IF_ERROR(p.env.remove_all(p.meta_path()));
  RETURN_IF_ERROR(p.env.sync_dir(folder));
  // .loss and .jsonl first: whoever finds one of them without a meta file knows that the shard is
  // unfinished and no plain Megatron one.
  for (const ShardFile f : {kLoss, kJsonl, kBin, kIdx}) {
    RETURN_IF_ERROR(p.env.rename(p.temp_path(f), p.path(f)));
  }
  RETURN_IF_ERROR(p.env.sync_dir(folder));
  RETURN_IF_ERROR(p.env.rename(p.temp_meta_path(), p.meta_path()));
  RETURN_IF_ERROR(p.env.sync_dir(folder));
  p.committed = true;

  ShardInfo info{.prefix = p.prefix,
                 .dtype = p.meta.dtype,
                 .documents = p.meta.documents,
                 .tokens = p.meta.tokens,
                 .loss_tokens = p.meta.loss_tokens,
                 .vocab = p.meta.vocab,
                 .max_id = p.meta.max_id,
                 .tokenizer_fingerprint = p.meta.tokenizer,
                 .has_meta = true,
                 .bytes = text.size()};
  for (const FileRecord& file : p.meta.files) info.bytes += file.bytes;
  return info;
}

}  // namespace boreal::tokens
