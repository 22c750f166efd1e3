#include "text/tokenizer.h"

#include <algorithm>
#include <span>
#include <unordered_map>

#include "base/hash.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/scanners.h"
#include "text/tokenizer_model.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace boreal::text {

namespace {

Bpe bpe_of(const TokenizerModel& model) {
  ByteIds byte_ids;
  byte_ids.fill(-1);
  for (std::size_t id = 0; id < model.vocabulary.size(); ++id) {
    const auto& entry = model.vocabulary[id];
    if (entry && entry->in_alphabet && entry->bytes.size() == 1) {
      byte_ids[static_cast<std::uint8_t>(entry->bytes[0])] = static_cast<TokenId>(id);
    }
  }
  MergeTable merges(model.merges.size());
  for (std::size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge& merge = model.merges[rank];
    const bool fresh =
        merges.add(merge.left, merge.right, {static_cast<std::uint32_t>(rank), merge.id});
    CHECK(fresh, "merge {} ({} + {}) is there twice", rank, merge.left, merge.right);
  }
  return {byte_ids, std::move(merges)};
}

// Hashes fields so that no two different sequences of fields look alike.
class Fingerprint {
 public:
  void add(std::int64_t number) { hash_.add(std::as_bytes(std::span(&number, 1))); }
  void add(std::string_view text) {
    add(static_cast<std::int64_t>(text.size()));
    hash_.add(std::as_bytes(std::span(text)));
  }
  std::string hex() const { return hash_.hex(); }

 private:
  Xxh3 hash_;
};

std::string fingerprint_of(const TokenizerModel& model) {
  Fingerprint print;
  print.add("boreal byte-level bpe 1, unicode 16.0");
  for (const bool flag : {model.nfc, model.add_prefix_space, model.ignore_merges}) print.add(flag);
  print.add(name_of(model.pattern));
  print.add(std::ssize(model.vocabulary));
  for (const auto& entry : model.vocabulary) {
    print.add(entry ? entry->in_alphabet : -1);
    if (entry) print.add(entry->bytes);
  }
  for (const Merge& merge : model.merges) {
    for (const TokenId id : {merge.left, merge.right, merge.id}) print.add(id);
  }
  for (const AddedToken& token : model.added_tokens) {
    print.add(token.id);
    print.add(token.content);
    for (const bool flag :
         {token.single_word, token.lstrip, token.rstrip, token.normalized, token.special}) {
      print.add(flag);
    }
  }
  return print.hex();
}

}  // namespace

struct Tokenizer::Parts {
  explicit Parts(TokenizerModel from)
      : model(std::move(from)),
        bpe(bpe_of(model)),
        raw_tokens(model.added_tokens, false, model.nfc),
        normalized_tokens(model.added_tokens, true, model.nfc),
        fingerprint(fingerprint_of(model)) {
    bytes_of_id.resize(model.vocabulary.size());
    for (std::size_t id = 0; id < model.vocabulary.size(); ++id) {
      if (const auto& entry = model.vocabulary[id]) {
        bytes_of_id[id] = entry->bytes;
        if (entry->in_alphabet) ids_of_pieces.emplace(entry->bytes, static_cast<TokenId>(id));
      }
    }
    for (const AddedToken& token : model.added_tokens) {
      const auto id = static_cast<std::size_t>(token.id);
      if (id >= bytes_of_id.size()) bytes_of_id.resize(id + 1);
      bytes_of_id[id] = token.content;
    }
    special.resize(bytes_of_id.size());
    for (const AddedToken& token : model.added_tokens) {
      special[static_cast<std::size_t>(token.id)] = token.special;
    }
  }

  // The ids of one piece that the ShortCache lacks; valid until the next call with the same cache
  // and scratch.
  std::span<const TokenId> ids_of(std::string_view piece, WordCache& cache,
                                  std::vector<TokenId>& scratch) const {
    WordCache::Entry* entry = nullptr;
    if (WordCache::takes(piece)) {
      const auto [place, known] = cache.find(piece);
      if (known) return place->span();
      entry = place;
    }
    scratch.clear();
    const auto whole = model.ignore_merges ? ids_of_pieces.find(piece) : ids_of_pieces.end();
    if (whole != ids_of_pieces.end()) {
      scratch.push_back(whole->second);
    } else {
      bpe.encode(piece, scratch);
    }
    if (entry != nullptr && scratch.size() > ShortCache::kIds)
      WordCache::fill(*entry, piece, scratch);
    else if (entry != nullptr && piece.size() > ShortCache::kPieceBytes)
      WordCache::fill(*entry, piece, scratch);
    return scratch;
  }

  // Tells `sink` the pieces of a stretch of text.
  template <class Scanner, class Sink>
  void cut(std::string_view text, PieceCache& cache, std::vector<TokenId>& scratch,
           Sink& sink) const {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = Scanner::end(text, at);
      const std::string_view piece = text.substr(at, end - at);
      if (piece.size() <= ShortCache::kPieceBytes) {
        const ShortCache::Key key = ShortCache::key_of(text, at, piece.size());
        if (const ShortCache::Entry* const entry = cache.shorts.find(key)) {
          sink.piece(piece, *entry);
        } else {
          const auto ids = ids_of(piece, cache.words, scratch);
          cache.shorts.insert(key, ids);
          sink.piece(piece, ids);
        }
      } else {
        sink.piece(piece, ids_of(piece, cache.words, scratch));
      }
      at = end;
    }
  }

  // Tells `sink` the tokens of the text in order: token(id, size_bytes) for an added token,
  // piece(bytes, ids) for a piece, its ids as a span or as an entry of the ShortCache.
  template <class Sink>
  void tokenize(std::string_view text, EncodeOptions options, Sink& sink) const {
    WordCaches::Lease cache(caches);
    std::vector<TokenId> scratch;
    const auto stretch = [&](std::string_view part) {
      std::string prefixed;
      if (model.add_prefix_space && part[0] != ' ') part = prefixed.append(" ").append(part);
      with_scanner(model.pattern,
                   [&](auto scanner) { cut<decltype(scanner)>(part, *cache, scratch, sink); });
    };
    for (const auto& outer : raw_tokens.split(text, options.parse_special)) {
      std::string_view part = text.substr(outer.begin, outer.end - outer.begin);
      if (outer.id != AddedTokens::kText) {
        sink.token(outer.id, part.size());
        continue;
      }
      std::string normal;
      if (model.nfc && !is_surely_nfc(part)) part = normal = nfc(part);
      for (const auto& inner : normalized_tokens.split(part, options.parse_special)) {
        if (inner.id != AddedTokens::kText) {
          sink.token(inner.id, inner.end - inner.begin);
        } else {
          stretch(part.substr(inner.begin, inner.end - inner.begin));
        }
      }
    }
  }

  TokenizerModel model;
  Bpe bpe;
  AddedTokens raw_tokens;
  AddedTokens normalized_tokens;
  std::string fingerprint;
  std::vector<std::string_view> bytes_of_id;  // into model
  std::unordered_map<std::string_view, TokenId> ids_of_pieces;
  std::vector<bool> special;
  mutable WordCaches caches;
};

namespace {

// Ids into a vector that is longer than what is written, so that an entry's are stored at once
// however many count.
class IdSink {
 public:
  explicit IdSink(std::size_t expected) : ids_(expected + ShortCache::kIds) {}
  void token(TokenId id, std::size_t) {
    make_room(1);
    ids_[count_++] = id;
  }
  void piece(std::string_view, const ShortCache::Entry& entry) {
    make_room(ShortCache::kIds);
    count_ += entry.copy(ids_.data() + count_);
  }
  void piece(std::string_view, std::span<const TokenId> found) {
    make_room(found.size());
    std::copy(found.begin(), found.end(), ids_.data() + count_);
    count_ += found.size();
  }
  std::vector<TokenId> take() {
    ids_.resize(count_);
    return std::move(ids_);
  }

 private:
  void make_room(std::size_t more) {
    if (ids_.size() - count_ < more) ids_.resize(2 * ids_.size() + more);
  }
  std::vector<TokenId> ids_;
  std::size_t count_ = 0;
};

struct SpanSink {
  const std::vector<std::string_view>& bytes_of_id;
  const ByteIds& byte_ids;
  std::vector<TokenSpan> spans;
  std::size_t at = 0;

  void token(TokenId id, std::size_t size_bytes) {
    spans.push_back({id, at, at + size_bytes});
    at += size_bytes;
  }
  void piece(std::string_view bytes, const ShortCache::Entry& entry) {
    std::array<TokenId, ShortCache::kIds> ids{};
    const std::size_t count = entry.copy(ids.data());
    piece(bytes, std::span(ids).first(count));
  }
  void piece(std::string_view bytes, std::span<const TokenId> found) {
    const auto skip_lacking = [&](std::size_t from) {
      while (from < bytes.size() && byte_ids[static_cast<std::uint8_t>(bytes[from])] < 0) ++from;
      return from;
    };
    std::size_t from = 0;
    for (const TokenId id : found) {
      from = skip_lacking(from);
      const std::size_t begin = from;
      const std::size_t size = bytes_of_id[static_cast<std::size_t>(id)].size();
      for (std::size_t i = 0; i < size; ++i) from = (i == 0 ? from : skip_lacking(from)) + 1;
      spans.push_back({id, at + begin, at + from});
    }
    at += bytes.size();
  }
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::build(TokenizerModel model) {
  return Tokenizer(std::make_unique<Parts>(std::move(model)));
}

Result<Tokenizer> Tokenizer::parse(std::string_view json, const std::string& name) {
  ASSIGN_OR_RETURN(TokenizerModel model, model_of_json(json, name));
  return build(std::move(model));
}

Result<Tokenizer> Tokenizer::load(Env& env, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string json, env.read_file(path));
  return parse(json, path);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  IdSink sink(text.size() / 3);
  parts_->tokenize(text, options, sink);
  return sink.take();
}

std::vector<TokenSpan> Tokenizer::encode_spans(std::string_view text, EncodeOptions options) const {
  SpanSink sink{parts_->bytes_of_id, parts_->bpe.byte_ids(), {}};
  sink.spans.reserve(text.size() / 3);
  parts_->tokenize(text, options, sink);
  return std::move(sink.spans);
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (id >= 0 && id < vocab_size()) bytes += parts_->bytes_of_id[static_cast<std::size_t>(id)];
  }
  return bytes;
}

std::int64_t Tokenizer::vocab_size() const {
  return std::ssize(parts_->bytes_of_id);
}

std::optional<TokenId> Tokenizer::id_of(std::string_view token) const {
  for (const AddedToken& added : parts_->model.added_tokens) {
    if (added.content == token) return added.id;
  }
  const auto found = parts_->ids_of_pieces.find(token);
  if (found == parts_->ids_of_pieces.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && parts_->special[static_cast<std::size_t>(id)];
}

std::optional<TokenId> Tokenizer::end_of_text() const {
  for (const AddedToken& added : parts_->model.added_tokens) {
    if (added.special && added.content == "<|endoftext|>") return added.id;
  }
  return std::nullopt;
}

const std::string& Tokenizer::fingerprint() const {
  return parts_->fingerprint;
}
std::string Tokenizer::to_json() const {
  return json_of_model(parts_->model);
}

}  // namespace boreal::text
