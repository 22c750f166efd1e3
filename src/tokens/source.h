// Opening the shard of one source for a run: does it suit the tokenizer and the vocabulary, is it
// whole? Errors name the source. Thread rule: pure functions of their arguments and the files.
#pragma once

#include "base/env.h"
#include "base/result.h"
#include "tokens/shard.h"
#include "tokens/token_stream.h"

namespace boreal::tokens {

// Usage error for sizes and shares that make no sense.
Status check_options(const StreamOptions& options);

// Cheap checks only (ShardReader::open).
Result<ShardReader> open_shard(Env& env, const StreamSource& source, const StreamOptions& options);

// Reads all of it (ShardReader::verify); also compares every id with the run's vocabulary where the
// shard does not know its highest.
Status verify_shard(const ShardReader& shard, const StreamSource& source,
                    const StreamOptions& options);

}  // namespace boreal::tokens
