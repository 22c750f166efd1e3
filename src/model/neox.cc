// GPT-NeoX (Black et al. 2022): LayerNorm, attention and MLP side by side, rotary positions on a
// part of each head, biases, GELU by the error function, a head of its own. FORGE (Yin et al. 2023)
// and Pythia have this shape.
#include <nlohmann/json.hpp>

#include "model/families.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = spec.ffn > 0 ? spec.ffn : 4 * spec.hidden;
  c.norm = nn::NormKind::layer;
  c.placement = nn::NormPlacement::parallel;
  c.mlp = nn::MlpKind::gelu_erf;
  c.qkv_bias = c.bias = true;
  c.rotary_percent = 0.25;
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  return {{"architectures", {"GPTNeoXForCausalLM"}},
          {"model_type", "gpt_neox"},
          {"hidden_size", c.hidden},
          {"intermediate_size", c.ffn},
          {"num_hidden_layers", c.layers},
          {"num_attention_heads", c.heads},
          {"hidden_act", "gelu"},
          {"max_position_embeddings", c.context},
          {"layer_norm_eps", c.norm_eps},
          {"rotary_pct", c.rotary_percent},
          {"rotary_emb_base", c.rope.theta},
          {"rope_scaling", rope_scaling_json(c.rope)},
          {"use_parallel_residual", true},
          {"attention_bias", true},
          {"attention_dropout", 0.0},
          {"hidden_dropout", 0.0},
          {"vocab_size", c.vocab}};
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  c.hidden = j.whole("hidden_size");
  c.ffn = j.whole("intermediate_size", 24576);
  c.layers = j.whole("num_hidden_layers");
  c.heads = c.kv_heads = j.whole("num_attention_heads");
  c.context = j.whole("max_position_embeddings", 2048);
  c.norm_eps = j.number("layer_norm_eps", 1e-5);
  c.vocab = j.whole("vocab_size");
  // Writers use either name, transformers both.
  c.rotary_percent = j.number("rotary_pct", j.number("partial_rotary_factor", 0.25));
  const double other = j.number("partial_rotary_factor", c.rotary_percent);
  if (other != c.rotary_percent)
    j.complain(
        fmt::format("rotary_pct is {}, but partial_rotary_factor is {}", c.rotary_percent, other));
  // transformers writes the base under both names.
  c.rope = j.rope("rotary_emb_base", j.number("rope_theta", 10000));
  c.tied = j.flag("tie_word_embeddings", false);
  j.one_of("hidden_act", {"gelu"}, "gelu");
  j.only("use_parallel_residual", true, true);
  j.only("attention_bias", true, true);
  return c;
}

std::vector<HfTensor> tensors(const DecoderConfig& c) {
  std::vector<HfTensor> all;
  all.push_back({"gpt_neox.embed_in.weight", "embedding.weight", 0, c.vocab});
  const auto pair = [&](const std::string& hf, const std::string& our, std::int64_t rows,
                        std::int64_t heads = 0) {
    for (const char* kind : {".weight", ".bias"})
      all.push_back({hf + kind, our + kind, 0, rows, false, heads});
  };
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string hf = fmt::format("gpt_neox.layers.{}.", i);
    const std::string our = fmt::format("blocks.{}.", i);
    pair(hf + "input_layernorm", our + "norm1", c.hidden);
    pair(hf + "attention.query_key_value", our + "attention.qkv", 3 * c.hidden, c.heads);
    pair(hf + "attention.dense", our + "attention.out", c.hidden);
    pair(hf + "post_attention_layernorm", our + "norm2", c.hidden);
    pair(hf + "mlp.dense_h_to_4h", our + "mlp.up", c.ffn);
    pair(hf + "mlp.dense_4h_to_h", our + "mlp.down", c.hidden);
  }
  pair("gpt_neox.final_layer_norm", "head.norm", c.hidden);
  if (!c.tied) all.push_back({"embed_out.weight", "head.weight", 0, c.vocab});
  return all;
}

}  // namespace

const Family kNeox = {.name = "neox",
                      .hf_type = "gpt_neox",
                      .choices = {.kv_heads = false, .rotary_percent = true},
                      .defaults = defaults,
                      .to_hf = to_hf,
                      .from_hf = from_hf,
                      .tensors = tensors};

}  // namespace boreal::model
