// What writer and reader of a shard agree on: names, the header of .idx, the text of .meta.json.
// Layout of .idx: Megatron-LM, megatron/core/datasets/indexed_dataset.py. Thread rule: pure
// functions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "base/result.h"

namespace boreal::tokens {

static_assert(std::endian::native == std::endian::little,
              "shards are little-endian and mapped as they are");

inline constexpr std::string_view kIdxMagic{"MMIDIDX\0\0", 9};
inline constexpr std::uint64_t kIdxVersion = 1;
inline constexpr std::uint64_t kIdxHeaderBytes = 34;
// Megatron-LM's builder stores u16 below this, although 16 bits would reach 65,536.
inline constexpr std::int64_t kU16VocabLimit = 65500;

inline constexpr std::int64_t kMetaVersion = 1;
inline constexpr std::string_view kMetaSuffix = ".meta.json";

// The files that a meta file describes.
enum ShardFile : std::size_t { kBin, kIdx, kLoss, kJsonl, kShardFiles };
inline constexpr std::array<std::string_view, kShardFiles> kFileKeys = {"bin", "idx", "loss",
                                                                        "jsonl"};

std::string shard_path(const std::string& prefix, ShardFile file);

struct FileRecord {
  std::uint64_t bytes = 0;
  std::string xxh3;  // 32 hex digits
};

struct ShardMeta {
  std::string tokenizer;
  std::int64_t vocab = 0;
  DType dtype = DType::u16;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t loss_tokens = 0;
  std::int64_t max_id = -1;
  std::array<FileRecord, kShardFiles> files;
};

std::string render_meta(const ShardMeta& meta);
// Refused: any byte that differs from what render_meta wrote, another version. `name` stands in the
// message.
Result<ShardMeta> parse_meta(std::string_view text, const std::string& name);

// Megatron's code of an element type, and back. Only u16 and i32 hold token ids.
std::uint8_t idx_code_of(DType dtype);
Result<DType> dtype_of_idx_code(std::uint8_t code);

}  // namespace boreal::tokens
