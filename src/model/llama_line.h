// What the descendants of Llama share in transformers: names of sizes and of tensors. Thread rule:
// pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "model/family.h"
#include "model/hf_config.h"

namespace boreal::model::llama_line {

// 8/3 of hidden, up to a multiple of 64.
std::int64_t default_ffn(const spec::ModelSpec& spec);

// Sizes, epsilon, rotary positions and the tied head. head_dim_default: where head_dim is absent;
// 0: hidden / heads.
void read_sizes(HfConfig& json, DecoderConfig& config, std::int64_t head_dim_default = 0);
nlohmann::ordered_json write_sizes(const DecoderConfig& config, const char* type,
                                   const char* architecture);

// Of every layer: has it the window?
std::vector<bool> windowed_layers(const DecoderConfig& config);

// The window of the upper layers, as Qwen has it: use_sliding_window, sliding_window,
// max_window_layers, layer_types.
void read_upper_window(HfConfig& json, DecoderConfig& config);
void write_upper_window(const DecoderConfig& config, nlohmann::ordered_json& json);

// By the config's norm placement, biases and norms of queries and keys.
std::vector<HfTensor> tensors(const DecoderConfig& config);

}  // namespace boreal::model::llama_line
