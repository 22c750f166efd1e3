// Qwen3 (Yang et al. 2025): a Llama with an RMSNorm of each query and key head and a head size of
// its own; the upper layers may have a sliding window.
#include <nlohmann/json.hpp>

#include "model/families.h"
#include "model/llama_line.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = llama_line::default_ffn(spec);
  c.attention.qk_norm = nn::HeadNormKind::per_head;
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  auto json = llama_line::write_sizes(c, "qwen3", "Qwen3ForCausalLM");
  llama_line::write_upper_window(c, json);
  return json;
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  llama_line::read_sizes(j, c, 128);
  c.tied = j.flag("tie_word_embeddings", false);
  j.one_of("hidden_act", {"silu"}, "silu");
  j.only("attention_bias", false, false);
  llama_line::read_upper_window(j, c);
  return c;
}

}  // namespace

const Family kQwen3 = {.name = "qwen3",
                       .hf_type = "qwen3",
                       .choices = {.head_dim = true, .window = true, .window_begin = true},
                       .defaults = defaults,
                       .to_hf = to_hf,
                       .from_hf = from_hf,
                       .tensors = llama_line::tensors};

}  // namespace boreal::model
