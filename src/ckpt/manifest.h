// The manifest of a checkpoint: what it holds, where, with a hash of every piece and of itself.
// Byte layout and keys: docs/formats-checkpoint.md. A rank's vote has the same form: what one rank
// wrote and synced; merging the votes of all ranks gives the manifest.
// Thread rule: values and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "ckpt/box.h"
#include "tensor/tensor.h"

namespace boreal::ckpt {

inline constexpr std::int64_t kFormatVersion = 1;
inline constexpr std::int64_t kPieceAlign_bytes = 64;
inline constexpr std::string_view kManifestName = "manifest.json";

// Where a checkpoint comes from: what must or should be the same where it is resumed.
struct Origin {
  std::string spec_hash;
  std::string tokenizer_fingerprint;
  std::string data_fingerprint;    // of the training and validation data
  std::int64_t data_position = 0;  // global batches drawn so far
  std::string isa;
  std::string layout;  // of the ranks, as dist::Layout::text(); "" where nobody said it
  std::map<std::string, std::string> versions;  // library -> version
};

// One sentence for each thing of `saved` that differs in `now`, the data position aside.
std::vector<std::string> differences(const Origin& saved, const Origin& now);

struct PieceRecord {
  Box box;
  std::string file;
  std::int64_t begin = 0;  // of its bytes in the file
  std::int64_t bytes = 0;
  std::string hash;  // XXH3-128, hex
};

struct TensorRecord {
  std::string name;
  DType dtype = DType::f32;
  tensor::Shape shape;
  std::vector<PieceRecord> pieces;
};

struct FileRecord {
  std::string name;
  std::int64_t bytes = 0;
  std::string hash;  // "" for a data file: its pieces have theirs, its padding is zero
};

struct Manifest {
  std::int64_t step = 0;
  std::int64_t ranks = 0;
  std::optional<double> loss;
  Origin origin;
  std::string meta_json = "{}";  // the caller's, an object
  std::vector<FileRecord> files;
  std::vector<TensorRecord> tensors;
};

struct Vote {
  std::int64_t step = 0;
  std::int64_t rank = 0;
  FileRecord file;
  std::vector<TensorRecord> tensors;
};

std::string data_file_name(std::int64_t rank);  // "rank-3.bin"
std::string vote_file_name(std::int64_t rank);  // "rank-3.vote.json"
std::int64_t padded_to_align(std::int64_t bytes);

// Sealed text. `file` is for messages. Decoding refuses a broken seal and whatever is not
// consistent in itself: boxes that do not make up their tensor, bytes that do not fit, ...
Result<std::string> encode(const Manifest& manifest);  // error: meta_json is no JSON object
Result<Manifest> decode_manifest(const std::string& file, const std::string& text);
std::string encode(const Vote& vote);
Result<Vote> decode_vote(const std::string& file, const std::string& text);

// One tensor of each name, with the pieces of all ranks in rank order. Error (failed): two ranks
// disagree on a tensor's dtype or shape, or the pieces do not make it up exactly once.
Result<std::vector<TensorRecord>> merge(const std::vector<Vote>& votes);

}  // namespace boreal::ckpt
