// TokenStream: which tokens a step trains on, as a pure function of (spec, seed, step, data
// coordinate). There is no index, no shuffle buffer and no state: resuming is asking for step n.
// Rank count and micro-batch only cut the same global batch into pieces. Thread rule: const methods
// from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "tokens/blend.h"

namespace boreal::tokens {

// Row-major [rows, sequence] arrays of one rank's part of one step's (or micro-step's) batch.
struct Batch {
  std::int64_t rows = 0;
  std::int64_t sequence = 0;
  std::vector<std::int32_t> input;   // token ids
  std::vector<std::int32_t> target;  // the next token of the same stream
  std::vector<float> weight;         // 1 where the target counts in the loss, else 0
  // Column minus doc_begin: counts from 0 in each document, and again from 0 in a document that the
  // row's border cuts, so it stays below `sequence`.
  std::vector<std::int32_t> position;
  // Column of the row at which the token's document begins: a query sees [doc_begin, itself].
  std::vector<std::int32_t> doc_begin;
};

// A part of the global batch: rows [index * rows / parts, (index + 1) * rows / parts).
struct DataCoordinate {
  std::int64_t index = 0;
  std::int64_t parts = 1;
};

struct StreamSource {
  std::string name{};
  std::string prefix{};  // a shard (tokens/shard.h); "" = synthetic
  double weight = 1;
  std::int64_t synthetic_vocab = 0;  // ids of a synthetic source
  bool meta_optional = false;        // also take a plain Megatron shard (ShardReaderOptions)
};

struct StreamOptions {
  std::int64_t sequence = 256;       // T
  std::int64_t batch_sequences = 8;  // rows of the global batch
  std::uint64_t seed = 1;
  // Each document sees only itself and counts positions from 0; the target behind its last token
  // belongs to another document and weighs 0. Without it a row is one stretch of text: doc_begin 0,
  // position = column.
  bool document_mask = true;
  // The first warm_steps draw only from the first warm_share of each source's documents (shards are
  // shuffled when written), in epochs of their own; as many more documents as a row needs. Epochs
  // of the whole source begin after them. 0 or 1: no such stretch.
  double warm_share = 0;
  std::int64_t warm_steps = 0;
  std::string tokenizer_fingerprint{};  // must equal the shards'; "" = not checked
  std::int64_t vocab = 0;               // every id must be below; 0 = not checked
  // Sources with at most so many bytes together are read and checked whole when opened. Larger ones
  // are trusted (their sizes, .idx and meta files are still checked): `boreal tokens verify` is for
  // them, and an impossible id in one is a failed CHECK.
  std::int64_t verify_bytes_max = std::int64_t{64} << 20;
};

class TokenStream {
 public:
  // Refused: a missing or damaged shard, an .idx that disagrees with its .bin, another tokenizer,
  // an id outside the vocabulary, a source shorter than a row. Usage: no source, two of one name
  // (the name keys the order), a weight or size that makes no sense.
  static Result<TokenStream> open(Env& env, const std::vector<StreamSource>& sources,
                                  StreamOptions options);

  TokenStream(TokenStream&&) noexcept;
  TokenStream& operator=(TokenStream&&) noexcept;
  ~TokenStream();

  // Depends on the global sample numbers step * batch_sequences + row only. Requires step >= 0 and
  // batch_sequences divisible by where.parts.
  Batch batch(std::int64_t step, DataCoordinate where) const;
  // The same into a batch of an earlier step, whose memory serves again.
  void batch(std::int64_t step, DataCoordinate where, Batch& into) const;

  // Global sample n -> (source, sample of that source): in any prefix each source is within one
  // sample of its share (blend.h).
  using Draw = Blend::Draw;
  Draw draw(std::int64_t n) const;
  const Blend& blend() const;

  // Tokens in all sources together, and samples in one epoch of a source: all whole rows of its
  // tokens, each once, cut from another place each epoch, in another order. Both count 0 for a
  // synthetic source, which has no end.
  std::int64_t total_tokens() const;
  std::int64_t epoch_samples(std::size_t source) const;

 private:
  struct Parts;
  explicit TokenStream(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// One source in file order, without shuffling, for validation loss: every token but the first is a
// target exactly once. Batches of at most rows_max rows; the last row is padded with weight 0.
// Refused as in open(), and a source of fewer than two tokens; usage: a synthetic one.
Result<std::vector<Batch>> validation_batches(Env& env, const StreamSource& source,
                                              const StreamOptions& options, std::int64_t rows_max);

}  // namespace boreal::tokens
