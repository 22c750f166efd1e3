// A model as one GGUF file: written so that llama.cpp loads it, and loaded from such a file, ours
// or another's. Matrices are quantised whole rows at a time; what has no whole blocks of 32 stays
// bf16. Thread rule: the thread that owns ctx.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/env.h"
#include "infer/weights.h"
#include "model/decoder.h"
#include "model/hf_folder.h"
#include "tensor/gguf.h"
#include "text/tokenizer.h"

namespace boreal::infer {

struct GgufExport {
  tensor::GgufType type = tensor::GgufType::bf16;  // of matrices; vectors are fp32
  std::string name;
  std::string tokenizer_json;  // "" = none
};

// What became of the tokenizer.
enum class GgufTokenizer : std::uint8_t {
  none,
  whole,    // llama.cpp encodes and decodes text as boreal does
  ids_only  // it lies in the file, but llama.cpp has no such splitting: it takes ids
};
std::string_view name_of(GgufTokenizer tokenizer);

// Refused: a family that is not written; a weight that is not finite.
Result<GgufTokenizer> write_gguf_model(Env& env, const device::Context& ctx,
                                       const std::string& path, const model::Decoder& model,
                                       const model::ParameterMemory& memory,
                                       const GgufExport& options);

bool is_gguf(Env& env, const std::string& path);
// Of the parameter's matrix as the file holds it; plain where its pieces differ or have no blocks.
Weights::FormatOf formats_in(const tensor::GgufFile& file, const model::Decoder& model);
// Refused: a tensor that is missing, misshapen, extra or not finite.
Status read_gguf_weights(const device::Context& ctx, const tensor::GgufFile& file,
                         const model::Decoder& model, Weights& weights);
// tokenizer.json out of the file; "" where it has none.
Result<std::string> gguf_tokenizer_json(const tensor::GgufFile& file);

}  // namespace boreal::infer
