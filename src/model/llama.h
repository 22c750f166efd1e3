// Llama (Touvron et al. 2023): RMSNorm, rotary positions, grouped queries, SwiGLU, no biases.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "model/family.h"

namespace boreal::model::llama {

DecoderConfig config_of(const spec::ModelSpec& spec);
nlohmann::ordered_json hf_config(const DecoderConfig& config);
Result<DecoderConfig> from_hf(const nlohmann::json& json, const std::string& name);
std::vector<HfTensor> tensors(const DecoderConfig& config);

}  // namespace boreal::model::llama
