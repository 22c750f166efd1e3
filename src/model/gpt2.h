// GPT-2 (Radford et al. 2019): LayerNorm, learned positions, biases, GELU by tanh, tied head.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "model/family.h"

namespace boreal::model::gpt2 {

DecoderConfig config_of(const spec::ModelSpec& spec);
nlohmann::ordered_json hf_config(const DecoderConfig& config);
Result<DecoderConfig> from_hf(const nlohmann::json& json, const std::string& name);
std::vector<HfTensor> tensors(const DecoderConfig& config);

}  // namespace boreal::model::gpt2
