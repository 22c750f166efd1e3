// TokenStream: which tokens a step trains on, as a pure function of (spec, seed, step, data coordinate).
// There is no index, no shuffle buffer and no state: resuming is asking for step n. Rank count and micro-batch only cut the same
// global batch into pieces. Thread rule: const methods from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::tokens {

// Row-major [rows, sequence] arrays of one rank's part of one step's (or micro-step's) batch.
struct Batch {
  std::int64_t rows = 0;
  std::int64_t sequence = 0;
  std::vector<std::int32_t> input;      // token ids
  std::vector<std::int32_t> target;     // the next token of the same stream
  std::vector<float> weight;            // 1 where the target counts in the loss, else 0
  std::vector<std::int32_t> position;   // of the token in its document, from 0
  std::vector<std::int32_t> doc_begin;  // column of the row at which the token's document begins: a query sees [doc_begin, itself]
};

// A part of the global batch: rows [index * rows / parts, (index + 1) * rows / parts).
struct DataCoordinate {
  std::int64_t index = 0;
  std::int64_t parts = 1;
};

struct StreamSource {
  std::string name;
  std::string prefix;     // shards at prefix.bin, prefix.idx, prefix.loss; "" = synthetic
  double weight = 1;
  std::int64_t synthetic_vocab = 0;  // ids of a synthetic source
};

struct StreamOptions {
  std::int64_t sequence = 256;         // T
  std::int64_t batch_sequences = 8;    // rows of the global batch
  std::uint64_t seed = 1;
  bool document_mask = true;
  // The first warm_steps draw only from the first warm_share of each source (shards are shuffled when written).
  double warm_share = 0;
  std::int64_t warm_steps = 0;
  std::string tokenizer_fingerprint;   // must equal the shards'; "" = not checked
  std::int64_t vocab = 0;              // every id must be below; 0 = not checked
};

class TokenStream {
 public:
  // Refused: a missing or damaged shard, an .idx that disagrees with its .bin, another tokenizer, a source shorter than a row.
  static Result<TokenStream> open(Env& env, const std::vector<StreamSource>& sources, StreamOptions options);

  TokenStream(TokenStream&&) noexcept;
  TokenStream& operator=(TokenStream&&) noexcept;
  ~TokenStream();

  // Requires step >= 0 and batch_sequences divisible by where.parts.
  Batch batch(std::int64_t step, DataCoordinate where) const;

  // Global sample n -> (source, sample of that source): in any prefix each source is within one sample of its share.
  struct Draw {
    std::size_t source = 0;
    std::int64_t sample = 0;
  };
  Draw draw(std::int64_t n) const;

  // Tokens in all sources together, and samples in one epoch of a source.
  std::int64_t total_tokens() const;
  std::int64_t epoch_samples(std::size_t source) const;

 private:
  struct Parts;
  explicit TokenStream(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Every window of one source once, in file order, without shuffling, for validation loss: batches of at most rows_max rows. The last
// row is padded with weight 0.
Result<std::vector<Batch>> validation_batches(Env& env, const StreamSource& source,
                                              const StreamOptions& options, std::int64_t rows_max);

}  // namespace boreal::tokens
