// A model's folder of either kind: a checkpoint (manifest.json) or a Hugging Face folder
// (model.safetensors). Both carry config.json and, where the model speaks text, tokenizer.json.
// Thread rule: pure functions of their arguments and the files.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "ckpt/save.h"
#include "model/hf_folder.h"

namespace boreal::model {

// Refused: neither kind, or damaged.
Result<DecoderConfig> read_config(Env& env, const std::string& folder);
// Fills fp32 memory of every parameter.
Status read_weights(Env& env, const std::string& folder, const Decoder& model,
                    const ParameterMemory& memory);
// Hands out every parameter whole, in fp32, one after the other: for ranks that keep a part of
// each.
using TakeParameter = std::function<void(const nn::Parameter&, const tensor::Tensor& whole)>;
Status read_weights(Env& env, const std::string& folder, const Decoder& model,
                    const TakeParameter& take);

// Whole weights as pieces of a checkpoint, and the files that make its folder a model's folder.
std::vector<ckpt::Piece> weight_pieces(const Decoder& model, const ParameterMemory& memory);
std::vector<ckpt::ExtraFile> model_files(const Decoder& model, const std::string& tokenizer_json,
                                         std::int64_t end_of_text);

}  // namespace boreal::model
