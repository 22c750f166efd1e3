// Qwen2 (Yang et al. 2024): a Llama with biases on queries, keys and values; the upper layers may
// have a sliding window.
#include <nlohmann/json.hpp>

#include "model/families.h"
#include "model/llama_line.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = llama_line::default_ffn(spec);
  c.qkv_bias = true;
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  auto json = llama_line::write_sizes(c, "qwen2", "Qwen2ForCausalLM");
  json.erase("attention_bias");
  llama_line::write_upper_window(c, json);
  return json;
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  llama_line::read_sizes(j, c);
  if (c.head_size > 0)
    j.complain(
        fmt::format("head_dim is {}, but hidden_size {} / num_attention_heads {} is not, and "
                    "the qwen2 family here has no other",
                    c.head_size, c.hidden, c.heads));
  c.tied = j.flag("tie_word_embeddings", false);
  j.one_of("hidden_act", {"silu"}, "silu");
  llama_line::read_upper_window(j, c);
  return c;
}

}  // namespace

const Family kQwen2 = {.name = "qwen2",
                       .hf_type = "qwen2",
                       .choices = {.window = true, .window_begin = true},
                       .defaults = defaults,
                       .to_hf = to_hf,
                       .from_hf = from_hf,
                       .tensors = llama_line::tensors};

}  // namespace boreal::model
