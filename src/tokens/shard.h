// Shard: the token ids of many documents on disk, with what must not be lost about them.
//
//   PREFIX.bin        ids, one document after another
//   PREFIX.idx        lengths and bounds of the documents
//   PREFIX.loss       one byte a token: 1 if it counts in the loss when it is the target, else 0
//   PREFIX.jsonl      one line of JSON a document: its provenance
//   PREFIX.meta.json  tokenizer, counts, size and XXH3-128 of each file, and of itself
//
// .bin and .idx are byte for byte what Megatron-LM's IndexedDataset writes, one sequence a
// document; byte offsets stand in docs/formats-tokens.md. The meta file is written last and is the
// commit: without it the other files are an unfinished shard and are refused.
// Thread rule: a writer is one thread's; const methods of a reader from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/env.h"
#include "base/result.h"

namespace boreal::tokens {

struct ShardInfo {
  std::string prefix;
  DType dtype = DType::u16;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t loss_tokens = 0;       // that count as targets; all of them without a .loss file
  std::int64_t vocab = 0;             // of the tokenizer; 0 = not known
  std::int64_t max_id = -1;           // highest id in the shard; -1 = not known, or no token
  std::string tokenizer_fingerprint;  // "" = not known
  bool has_meta = false;              // false: a plain Megatron shard
  std::uint64_t bytes = 0;            // of all files together
};

struct ShardWriterOptions {
  std::string tokenizer_fingerprint{};
  std::int64_t vocab = 0;  // decides the dtype: u16 below 65,500 ids, else i32
};

// Writes temporary files beside the prefix. Destroying the writer before commit() removes them;
// nothing of the prefix has then changed.
class ShardWriter {
 public:
  static Result<ShardWriter> create(Env& env, const std::string& prefix,
                                    ShardWriterOptions options);

  ShardWriter(ShardWriter&&) noexcept;
  ShardWriter& operator=(ShardWriter&&) noexcept;
  ~ShardWriter();

  // One document. loss: one 0 or 1 an id, or empty where every token counts. provenance: JSON on
  // one line, without its newline. Refused: an id outside [0, vocab), 2^31 ids or more. Requires
  // matching lengths. After an error the writer may only be destroyed.
  Status add(std::span<const std::int32_t> ids, std::span<const std::uint8_t> loss,
             std::string_view provenance);

  // Writes and syncs everything, then renames; an older shard of this prefix stays whole until the
  // first rename and is gone (refused as unfinished) if a kill falls between the renames. Call
  // once.
  Result<ShardInfo> commit();

 private:
  struct Parts;
  explicit ShardWriter(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

struct ShardReaderOptions {
  // Also read a shard that has neither .meta.json nor .loss nor .jsonl, as Megatron-LM writes it:
  // all tokens count in the loss, tokenizer and vocabulary are not known, and damage inside .bin
  // cannot be seen.
  bool meta_optional = false;
};

class ShardReader {
 public:
  // Checks all sizes, the hashes of the meta file and of .idx, and the whole of .idx against the
  // size of .bin, so that every later read is in bounds. Does not read .bin, .loss and .jsonl.
  // Refused: all that disagrees, with both values.
  static Result<ShardReader> open(Env& env, const std::string& prefix,
                                  ShardReaderOptions options = {});

  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;
  ~ShardReader();

  // Reads everything: hashes, ids within the vocabulary, loss bytes, one line a document. With a
  // meta file any changed byte in any file is refused; without one only what is impossible.
  Status verify() const;

  const ShardInfo& info() const;

  // First token of a document, counted from the start of the shard; of document `documents` it is
  // `tokens`.
  std::int64_t document_begin(std::int64_t document) const;
  std::int64_t document_tokens(std::int64_t document) const;
  // The document that holds the token. Requires 0 <= token < tokens.
  std::int64_t document_at(std::int64_t token) const;

  // Ids of tokens [begin, begin + out.size()), as they stand on disk.
  void read_ids(std::int64_t begin, std::span<std::int32_t> out) const;
  // Loss weights of the same tokens, 0 or 1.
  void read_loss(std::int64_t begin, std::span<std::uint8_t> out) const;
  std::vector<std::int32_t> ids_of(std::int64_t document) const;

  // The line of JSON, without newline; "" in a plain Megatron shard. The first call reads .jsonl
  // once to find its lines. Refused: a .jsonl with another number of lines than documents.
  Result<std::string_view> provenance(std::int64_t document) const;

 private:
  struct Parts;
  explicit ShardReader(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace boreal::tokens
