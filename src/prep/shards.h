// Documents to token shards. A document is its ids and the end-of-text id; the loss mask follows
// Document::loss. Thread rule: functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "corpus/document.h"
#include "text/tokenizer.h"

namespace boreal::prep {

struct EncodedDocument {
  std::vector<text::TokenId> ids;     // the last is end_of_text
  std::vector<std::uint8_t> in_loss;  // 1 where the token counts as a target, as long as ids
};

// A token counts if it holds a byte of one of the ranges; all count if there are none. The end
// token always counts.
EncodedDocument encode_document(const text::Tokenizer& tokenizer, const corpus::Document& document,
                                text::TokenId end_of_text);

struct ShardCounts {
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t loss_tokens = 0;
};

// The counts of a whole shard at this prefix that this tokenizer wrote; nothing if there is none.
std::optional<ShardCounts> finished_shard(Env& env, const std::string& prefix,
                                          const text::Tokenizer& tokenizer);

// Writes prefix.* in the order given. The tokenizer has an end-of-text token.
Result<ShardCounts> write_shard(Env& env, const std::vector<const corpus::Document*>& documents,
                                const text::Tokenizer& tokenizer, const std::string& prefix);

}  // namespace boreal::prep
