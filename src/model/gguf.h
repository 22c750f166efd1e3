// Models in GGUF files: which facts of a file make a DecoderConfig, and which tensor holds which
// rows of which parameter. Both go through the family's Hugging Face names, so a family needs a
// line here only to say what llama.cpp calls it. Thread rule: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/decoder.h"
#include "tensor/gguf.h"

namespace boreal::model {

// Rows [row_begin, row_begin + rows) of `parameter`. With head_dim > 0 the file has the rows of
// each head in another order: row 2 i + h of a head is ours h * head_dim / 2 + i (llama.cpp turns
// neighbouring features of a llama, Hugging Face and we turn i with i + head_dim / 2).
struct GgufRows {
  std::string name;
  std::string parameter;
  std::int64_t row_begin = 0;
  std::int64_t rows = 0;
  std::int64_t head_dim = 0;

  // Where row r of the file's tensor stands in the parameter.
  std::int64_t our_row(std::int64_t r) const;
};

// Refused: a family that llama.cpp, or this program in its files, does not have.
Result<std::vector<GgufRows>> gguf_tensors(const DecoderConfig& config);
// The model's own facts; type of the file: what most of its matrices are.
Result<tensor::GgufFacts> gguf_facts(const DecoderConfig& config, const std::string& name,
                                     tensor::GgufType type);
// fp32 where the file's matrices are fp32 or fp16, else bf16. Refused: an architecture or an option
// that we do not have.
Result<DecoderConfig> config_of_gguf(const tensor::GgufFile& file);

}  // namespace boreal::model
