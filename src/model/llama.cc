// Llama (Touvron et al. 2023; Llama team 2024): RMSNorm, rotary positions, grouped queries, SwiGLU,
// no biases; rotary frequencies may be scaled for long contexts.
#include <nlohmann/json.hpp>

#include "model/families.h"
#include "model/llama_line.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = llama_line::default_ffn(spec);
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  auto json = llama_line::write_sizes(c, "llama", "LlamaForCausalLM");
  json["mlp_bias"] = false;
  return json;
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  llama_line::read_sizes(j, c);
  c.tied = j.flag("tie_word_embeddings", false);
  j.one_of("hidden_act", {"silu"}, "silu");
  j.only("attention_bias", false, false);
  j.only("mlp_bias", false, false);
  return c;
}

}  // namespace

const Family kLlama = {.name = "llama",
                       .hf_type = "llama",
                       .choices = {.head_dim = true},
                       .defaults = defaults,
                       .to_hf = to_hf,
                       .from_hf = from_hf,
                       .tensors = llama_line::tensors};

}  // namespace boreal::model
