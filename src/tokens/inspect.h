// What people ask of token shards: list, head, statistics, find. Behind `boreal tokens
// ls|head|stats|find`; `verify` is ShardReader::verify. Thread rule: pure functions of their
// arguments and the files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "tokens/shard.h"

namespace boreal::tokens {

// Prefixes of all shards at `path`: of the folder and the folders in it, sorted; or `path` itself
// if it is a prefix or one of a shard's files. An unfinished shard is listed too: opening it says
// what it lacks. Refused: a path with no shard.
Result<std::vector<std::string>> list_shards(Env& env, const std::string& path);

// The summary of a shard by name, without reading its tokens (a plain Megatron shard is taken).
Result<ShardInfo> summarise(Env& env, const std::string& prefix);

struct InspectedDocument {
  std::int64_t document = 0;
  std::int64_t tokens = 0;  // of the whole document
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> loss;  // one an id
  std::string provenance;
};

struct HeadOptions {
  std::int64_t first = 0;
  std::int64_t documents = 10;
  std::int64_t tokens_max = 0;  // ids shown of a document; 0 = all
};

// Documents [first, first + documents), as far as there are any.
Result<std::vector<InspectedDocument>> head(const ShardReader& shard, HeadOptions options);

// Documents whose line of provenance contains `text`, in file order, at most `documents_max` (0 =
// all).
Result<std::vector<std::int64_t>> find_documents(const ShardReader& shard, std::string_view text,
                                                 std::int64_t documents_max = 0);

struct IdCount {
  std::int32_t id = 0;
  std::int64_t count = 0;
};

struct ShardStats {
  ShardInfo info;
  std::int64_t documents_empty = 0;
  // Tokens of a document; all 0 where there is none. A percentile is the smallest length that so
  // many per cent do not exceed.
  std::int64_t length_min = 0;
  std::int64_t length_p50 = 0;
  std::int64_t length_p90 = 0;
  std::int64_t length_p99 = 0;
  std::int64_t length_max = 0;
  double length_mean = 0;
  std::int64_t ids_distinct = 0;
  std::vector<IdCount> ids_frequent;  // commonest first, the lower id first among equals
};

// Reads all ids. Refused: a negative id.
Result<ShardStats> stats(const ShardReader& shard, std::size_t ids_frequent_max = 10);

}  // namespace boreal::tokens
