#include "text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "text/byte_alphabet.h"
#include "text/split.h"
#include "text/tokenizer_model.h"
#include "text/unicode.h"

namespace boreal::text {

namespace {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

using Pair = std::pair<TokenId, TokenId>;
struct PairHash {
  std::size_t operator()(const Pair& pair) const {
    const auto key =
        static_cast<std::uint64_t>(pair.first) << 32 | static_cast<std::uint32_t>(pair.second);
    return (key ^ key >> 29) * 0x9e3779b97f4a7c15U;
  }
};

// The pieces of the corpus as chains of symbols, and for each pair of neighbours how often and
// where it stands. Work over all merges is O(n log n) in the bytes of the different pieces, however
// long a piece is.
class PairIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffU;

  // `byte_ids`: the first id of each byte. Pieces must be in a fixed order; counts are those of the
  // pieces.
  void add_piece(std::string_view piece, std::uint64_t count,
                 const std::array<TokenId, 256>& byte_ids) {
    const auto word = static_cast<std::uint32_t>(counts_.size());
    counts_.push_back(count);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const auto at = static_cast<std::uint32_t>(symbols_.size());
      symbols_.push_back({byte_ids[static_cast<std::uint8_t>(piece[i])], i == 0 ? kNone : at - 1,
                          i + 1 == piece.size() ? kNone : at + 1, word});
      if (i > 0) gain(at - 1);
    }
  }

  struct Candidate {
    std::uint64_t count = 0;
    Pair pair;
    // Larger count first, then the smaller pair of ids.
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  // The most frequent pair; nothing if no pair stands anywhere.
  std::optional<Candidate> best() {
    for (const Pair& pair : std::exchange(changed_, {})) queue_.push({pairs_[pair].count, pair});
    while (!queue_.empty()) {
      Candidate top = queue_.top();
      const auto found = pairs_.find(top.pair);
      const std::uint64_t now = found == pairs_.end() ? 0 : found->second.count;
      if (now == top.count && now > 0) return top;
      queue_.pop();
      if (now > 0) {
        top.count = now;
        queue_.push(top);
      }
    }
    return std::nullopt;
  }

  // Never offer the pair again.
  void drop(Pair pair) { pairs_[pair] = {}; }

  // Joins the pair into `id` wherever it stands, from the left.
  void merge(Pair pair, TokenId id) {
    std::vector<std::uint32_t> places = std::move(pairs_[pair].places);
    std::sort(places.begin(), places.end());
    for (const std::uint32_t at : places) {
      Symbol& left = symbols_[at];
      if (left.id != pair.first || left.next == kNone) continue;
      Symbol& right = symbols_[left.next];
      if (right.id != pair.second) continue;
      if (left.previous != kNone) lose(left.previous);
      if (right.next != kNone) lose(left.next);
      left.id = id;
      left.next = right.next;
      right.id = -1;
      if (left.next != kNone) {
        symbols_[left.next].previous = at;
        gain(at);
      }
      if (left.previous != kNone) gain(left.previous);
    }
    pairs_.erase(pair);
  }

  std::size_t size() const { return symbols_.size(); }

 private:
  struct Symbol {
    TokenId id;  // -1: joined to the symbol before it
    std::uint32_t previous;
    std::uint32_t next;
    std::uint32_t word;
  };
  struct Standing {
    std::uint64_t count = 0;
    std::vector<std::uint32_t> places;  // where the pair began once; stale ones are passed over
  };

  Pair pair_at(std::uint32_t at) const { return {symbols_[at].id, symbols_[symbols_[at].next].id}; }
  void gain(std::uint32_t at) {
    const Pair pair = pair_at(at);
    Standing& standing = pairs_[pair];
    standing.count += counts_[symbols_[at].word];
    standing.places.push_back(at);
    changed_.insert(pair);
  }
  void lose(std::uint32_t at) {
    const auto found = pairs_.find(pair_at(at));
    if (found == pairs_.end()) return;
    found->second.count -= std::min(found->second.count, counts_[symbols_[at].word]);
  }

  std::vector<std::uint64_t> counts_;  // by piece
  std::vector<Symbol> symbols_;
  std::unordered_map<Pair, Standing, PairHash> pairs_;
  std::unordered_set<Pair, PairHash> changed_;  // pairs whose count grew since they were queued
  std::priority_queue<Candidate> queue_;
};

}  // namespace

struct BpeTrainer::Counts {
  std::optional<SplitPattern> pattern;
  std::unordered_map<std::string, std::uint64_t, StringHash, std::equal_to<>> pieces;

  void add(std::string_view piece, std::uint64_t count) {
    const auto found = pieces.find(piece);
    if (found != pieces.end()) {
      found->second += count;
    } else {
      pieces.emplace(piece, count);
    }
  }
  std::vector<std::pair<std::string_view, std::uint64_t>> sorted() const {
    std::vector<std::pair<std::string_view, std::uint64_t>> all(pieces.begin(), pieces.end());
    std::sort(all.begin(), all.end());
    return all;
  }
};

BpeTrainer::BpeTrainer(BpeTrainOptions options)
    : options_(std::move(options)), counts_(std::make_unique<Counts>()) {
  counts_->pattern = split_pattern_named(options_.pattern);
}
BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view document) {
  if (!counts_->pattern) return;  // train() says so
  for (std::size_t at = 0; at < document.size();) {
    const std::size_t end = piece_end(*counts_->pattern, document, at);
    counts_->add(document.substr(at, end - at), 1);
    at = end;
  }
}

// For each piece, in order: count, length, bytes; numbers of eight bytes.
std::string BpeTrainer::counts() const {
  std::string bytes;
  const auto put = [&](std::uint64_t number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  for (const auto& [piece, count] : counts_->sorted()) {
    put(count);
    put(piece.size());
    bytes += piece;
  }
  return bytes;
}

Status BpeTrainer::add_counts(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint64_t numbers[2];
    if (bytes.size() - at < sizeof numbers)
      return refused("counts of pieces: {} bytes are left, a piece begins with {}",
                     bytes.size() - at, sizeof numbers);
    std::memcpy(numbers, bytes.data() + at, sizeof numbers);
    at += sizeof numbers;
    const auto [count, length] = numbers;
    if (length == 0 || length > bytes.size() - at)
      return refused("counts of pieces: a piece of {} bytes where {} are left", length,
                     bytes.size() - at);
    counts_->add(bytes.substr(at, length), count);
    at += length;
  }
  return Done{};
}

namespace {

Status check_options(const BpeTrainOptions& options) {
  if (!split_pattern_named(options.pattern)) {
    return wrong_usage("tokenizer pattern \"{}\" is unknown; boreal has gpt2, words and whole",
                       options.pattern);
  }
  const std::int64_t least = 256 + std::ssize(options.special_tokens);
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (options.vocab_size < least || options.vocab_size > kMost) {
    return wrong_usage(
        "tokenizer vocab_size is {}, it must lie in {}..{}: {} special tokens and 256 "
        "bytes come before the first merge",
        options.vocab_size, least, kMost, options.special_tokens.size());
  }
  if (options.min_pair_count < 1) {
    return wrong_usage("tokenizer min_pair_count is {}, it must be at least 1",
                       options.min_pair_count);
  }
  std::unordered_set<std::string_view> seen;
  for (const std::string& token : options.special_tokens) {
    const auto bytes = bytes_of_spelling(token);
    if (token.empty() || !is_utf8(token) || (bytes && bytes->size() == 1)) {
      return wrong_usage("special token \"{}\" must be UTF-8 of at least two characters", token);
    }
    if (!seen.insert(token).second)
      return wrong_usage("special token \"{}\" is there twice", token);
  }
  return Done{};
}

// The vocabulary while it grows.
class Growing {
 public:
  explicit Growing(const BpeTrainOptions& options) {
    model_.pattern = *split_pattern_named(options.pattern);
    for (const std::string& token : options.special_tokens) {
      auto bytes = bytes_of_spelling(token);
      const bool in_alphabet = bytes.has_value();
      if (in_alphabet) special_bytes_.insert(*bytes);
      model_.added_tokens.push_back({.id = next_id(), .content = token, .special = true});
      model_.vocabulary.push_back(VocabularyEntry{in_alphabet ? *bytes : token, in_alphabet});
    }
    for (const std::uint8_t byte : bytes_by_character()) {
      byte_ids_[byte] = next_id();
      model_.vocabulary.push_back(VocabularyEntry{std::string(1, static_cast<char>(byte)), true});
    }
  }

  const std::array<TokenId, 256>& byte_ids() const { return byte_ids_; }
  std::int64_t size() const { return std::ssize(model_.vocabulary); }

  // The id of the two joined: a new one, or that of a token of the same bytes made by another
  // merge. Nothing where the bytes would spell a special token, which must not come out of text.
  std::optional<TokenId> join(Pair pair) {
    std::string bytes = bytes_of(pair.first) + bytes_of(pair.second);
    if (special_bytes_.contains(bytes)) return std::nullopt;
    const auto [made, fresh] = ids_.try_emplace(std::move(bytes), next_id());
    if (fresh) model_.vocabulary.push_back(VocabularyEntry{made->first, true});
    model_.merges.push_back({pair.first, pair.second, made->second});
    return made->second;
  }

  TokenizerModel take() && { return std::move(model_); }

 private:
  TokenId next_id() const { return static_cast<TokenId>(size()); }
  const std::string& bytes_of(TokenId id) const {
    return model_.vocabulary[static_cast<std::size_t>(id)]->bytes;
  }

  TokenizerModel model_;
  std::array<TokenId, 256> byte_ids_{};
  std::unordered_map<std::string, TokenId> ids_;  // of merged tokens
  std::unordered_set<std::string> special_bytes_;
};

}  // namespace

Result<Tokenizer> BpeTrainer::train() const {
  RETURN_IF_ERROR(check_options(options_));
  const auto pieces = counts_->sorted();
  Growing growing(options_);
  PairIndex index;
  for (const auto& [piece, count] : pieces) {
    if (piece.size() >= PairIndex::kNone - index.size()) {
      return failed(
          "tokenizer: the different pieces of the text hold more than {} bytes; train on a "
          "part of it",
          index.size());
    }
    index.add_piece(piece, count, growing.byte_ids());
  }
  while (growing.size() < options_.vocab_size) {
    const auto best = index.best();
    if (!best || best->count < static_cast<std::uint64_t>(options_.min_pair_count)) break;
    if (const auto id = growing.join(best->pair)) {
      index.merge(best->pair, *id);
    } else {
      index.drop(best->pair);
    }
  }
  return Tokenizer::build(std::move(growing).take());
}

}  // namespace boreal::text
