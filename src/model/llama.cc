#include "model/llama.h"

#include <nlohmann/json.hpp>

namespace boreal::model::llama {

DecoderConfig config_of(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = spec.ffn > 0 ? spec.ffn : (spec.hidden * 8 / 3 + 63) / 64 * 64;
  return c;
}

nlohmann::ordered_json hf_config(const DecoderConfig& c) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", c.hidden},
          {"intermediate_size", c.ffn},
          {"num_hidden_layers", c.layers},
          {"num_attention_heads", c.heads},
          {"num_key_value_heads", c.kv_heads},
          {"head_dim", c.head_dim()},
          {"hidden_act", "silu"},
          {"max_position_embeddings", c.context},
          {"rms_norm_eps", c.norm_eps},
          {"rope_theta", c.rope_theta},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"vocab_size", c.vocab}};
}

Result<DecoderConfig> from_hf(const nlohmann::json& j, const std::string& name) {
  DecoderConfig c;
  c.hidden = j.at("hidden_size");
  c.ffn = j.at("intermediate_size");
  c.layers = j.at("num_hidden_layers");
  c.heads = j.at("num_attention_heads");
  c.kv_heads = j.value("num_key_value_heads", c.heads);
  c.context = j.value("max_position_embeddings", 2048);
  c.norm_eps = j.value("rms_norm_eps", 1e-6);
  c.rope_theta = j.value("rope_theta", 10000.0);
  c.vocab = j.at("vocab_size");
  c.tied = j.value("tie_word_embeddings", false);
  if (const auto act = j.value("hidden_act", std::string("silu")); act != "silu")
    return refused("{}: hidden_act is \"{}\"; the llama family here has \"silu\"", name, act);
  if (j.value("attention_bias", false) || j.value("mlp_bias", false))
    return refused("{}: attention_bias or mlp_bias is true; the llama family here has no biases",
                   name);
  if (j.contains("rope_scaling") && !j["rope_scaling"].is_null())
    return refused("{}: rope_scaling is set; the llama family here has plain rotary positions",
                   name);
  // transformers 5 writes the base of the rotary frequencies here.
  if (j.contains("rope_parameters") && j["rope_parameters"].is_object()) {
    const auto& rope = j["rope_parameters"];
    if (rope.value("rope_type", std::string("default")) != "default")
      return refused("{}: rope_parameters.rope_type is \"{}\"; only \"default\" is known here",
                     name, rope.value("rope_type", std::string()));
    c.rope_theta = rope.value("rope_theta", c.rope_theta);
  }
  // Sizes that are not positive are refused by the caller, for all families alike.
  const std::int64_t own_dim = c.heads > 0 ? c.hidden / c.heads : 0;
  if (const std::int64_t dim = j.value("head_dim", own_dim); own_dim > 0 && dim != own_dim)
    return refused("{}: head_dim is {}, but hidden_size {} / num_attention_heads {} is {}", name,
                   dim, c.hidden, c.heads, own_dim);
  return c;
}

std::vector<HfTensor> tensors(const DecoderConfig& c) {
  std::vector<HfTensor> all;
  const std::int64_t q = c.heads * c.head_dim();
  const std::int64_t kv = c.kv_heads * c.head_dim();
  all.push_back({"model.embed_tokens.weight", "embedding.weight", 0, c.vocab});
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string hf = fmt::format("model.layers.{}.", i);
    const std::string our = fmt::format("blocks.{}.", i);
    all.push_back({hf + "input_layernorm.weight", our + "norm1.weight", 0, c.hidden});
    all.push_back({hf + "self_attn.q_proj.weight", our + "attention.qkv.weight", 0, q});
    all.push_back({hf + "self_attn.k_proj.weight", our + "attention.qkv.weight", q, kv});
    all.push_back({hf + "self_attn.v_proj.weight", our + "attention.qkv.weight", q + kv, kv});
    all.push_back({hf + "self_attn.o_proj.weight", our + "attention.out.weight", 0, c.hidden});
    all.push_back({hf + "post_attention_layernorm.weight", our + "norm2.weight", 0, c.hidden});
    all.push_back({hf + "mlp.gate_proj.weight", our + "mlp.gate_up.weight", 0, c.ffn});
    all.push_back({hf + "mlp.up_proj.weight", our + "mlp.gate_up.weight", c.ffn, c.ffn});
    all.push_back({hf + "mlp.down_proj.weight", our + "mlp.down.weight", 0, c.hidden});
  }
  all.push_back({"model.norm.weight", "head.norm.weight", 0, c.hidden});
  if (!c.tied) all.push_back({"lm_head.weight", "head.weight", 0, c.vocab});
  return all;
}

}  // namespace boreal::model::llama
