// The families, one file each: what they are, and how transformers writes them down. Thread rule:
// constants and pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "model/family.h"
#include "model/hf_config.h"

namespace boreal::model {

// What a family leaves to the spec, because its config.json can say it.
struct Choices {
  bool kv_heads = true;
  bool head_dim = false;
  bool window = false;
  bool window_begin = false;
  bool soft_caps = false;
  bool scalar = false;
  bool rotary_percent = false;
};

struct Family {
  std::string_view name;     // model.family
  std::string_view hf_type;  // model_type of config.json
  Choices choices;
  // What makes the family, and what the spec leaves to it; sizes are filled in by the caller.
  DecoderConfig (*defaults)(const spec::ModelSpec& spec);
  nlohmann::ordered_json (*to_hf)(const DecoderConfig& config);
  // Complaints are kept by the HfConfig.
  DecoderConfig (*from_hf)(HfConfig& json);
  std::vector<HfTensor> (*tensors)(const DecoderConfig& config);
};

extern const Family kLlama;
extern const Family kGpt2;
extern const Family kNeox;
extern const Family kMistral;
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kGemma2;
extern const Family kOlmo2;

}  // namespace boreal::model
