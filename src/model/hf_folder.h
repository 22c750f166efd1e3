// A Hugging Face folder: config.json, model.safetensors (or shards with an index), tokenizer.json.
// What we write, transformers loads; what it wrote for a family of ours, we load. Values pass
// through fp32. Thread rule: pure functions of their arguments and the files.
#pragma once

#include <functional>
#include <string>

#include "base/env.h"
#include "base/result.h"
#include "model/family.h"

namespace boreal::model {

// fp32 memory of a parameter, in its shape.
using ParameterMemory = std::function<tensor::Tensor(const nn::Parameter&)>;

// Refused: a tensor that is missing, has another shape, or that nobody asked for.
Status read_hf_weights(Env& env, const std::string& folder, const Decoder& model,
                       const ParameterMemory& memory);

struct HfExport {
  DType dtype = DType::f32;    // of the file: fp32 or bf16
  std::string tokenizer_json;  // "" = none
  std::int64_t end_of_text = -1;
};

// Writes into a temporary folder beside `folder` and renames: the folder is whole or absent. Failed
// if it exists.
Status write_hf_folder(Env& env, const std::string& folder, const Decoder& model,
                       const ParameterMemory& memory, const HfExport& options);

}  // namespace boreal::model
