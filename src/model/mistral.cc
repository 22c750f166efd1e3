// Mistral (Jiang et al. 2023): a Llama whose queries see a sliding window of keys.
#include <nlohmann/json.hpp>

#include "model/families.h"
#include "model/llama_line.h"

namespace boreal::model {

namespace {

constexpr std::int64_t kWindow = 4096;

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = llama_line::default_ffn(spec);
  c.attention.window = kWindow;
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  auto json = llama_line::write_sizes(c, "mistral", "MistralForCausalLM");
  json["sliding_window"] = nullptr;
  if (c.attention.window > 0) json["sliding_window"] = c.attention.window;
  return json;
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  llama_line::read_sizes(j, c);
  c.tied = j.flag("tie_word_embeddings", false);
  j.one_of("hidden_act", {"silu"}, "silu");
  j.only("attention_bias", false, false);
  c.attention.window = j.window(kWindow);
  j.layer_types(llama_line::windowed_layers(c));
  return c;
}

}  // namespace

const Family kMistral = {.name = "mistral",
                         .hf_type = "mistral",
                         .choices = {.head_dim = true, .window = true},
                         .defaults = defaults,
                         .to_hf = to_hf,
                         .from_hf = from_hf,
                         .tensors = llama_line::tensors};

}  // namespace boreal::model
