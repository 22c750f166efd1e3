// Trains a byte-level BPE (Sennrich et al. 2016 on bytes, as GPT-2 does). Deterministic: ties
// between pairs of equal count go to the smaller pair of ids, and the result does not depend on the
// order in which the documents come.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace boreal::text {

struct BpeTrainOptions {
  std::int64_t vocab_size = 4096;  // ids in all: specials, 256 bytes, merges
  // How text is cut before merging. "gpt2": the GPT-2 pattern, a word carries its leading space.
  // "words": letters, single digits, punctuation and each blank are pieces of their own, so a name
  // has the same ids wherever it stands.
  std::string pattern = "gpt2";
  std::vector<std::string> special_tokens = {"<|endoftext|>"};  // ids 0, 1, ...
  std::int64_t min_pair_count = 2;  // a pair seen less often is not merged
};

class BpeTrainer {
 public:
  explicit BpeTrainer(BpeTrainOptions options);
  ~BpeTrainer();
  // Counts the pieces of one document.
  void add(std::string_view document);
  // What was counted so far as bytes, and the same bytes added to what another trainer of equal
  // pattern counted: documents may be counted anywhere. The bytes are a function of the documents,
  // not of their order. Refused: bytes that counts() did not give.
  std::string counts() const;
  Status add_counts(std::string_view bytes);
  // kind usage if vocab_size is below 256 + specials; a vocabulary smaller than asked is possible
  // (no pair left) and no error.
  Result<Tokenizer> train() const;

 private:
  struct Counts;
  BpeTrainOptions options_;
  std::unique_ptr<Counts> counts_;
};

}  // namespace boreal::text
