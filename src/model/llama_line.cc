#include "model/llama_line.h"

#include <nlohmann/json.hpp>

namespace boreal::model::llama_line {

std::int64_t default_ffn(const spec::ModelSpec& spec) {
  return spec.ffn > 0 ? spec.ffn : (spec.hidden * 8 / 3 + 63) / 64 * 64;
}

void read_sizes(HfConfig& j, DecoderConfig& c, std::int64_t head_dim_default) {
  c.hidden = j.whole("hidden_size");
  c.ffn = j.whole("intermediate_size");
  c.layers = j.whole("num_hidden_layers");
  c.heads = j.whole("num_attention_heads");
  c.kv_heads = j.whole("num_key_value_heads", c.heads);
  c.context = j.whole("max_position_embeddings", 2048);
  c.norm_eps = j.number("rms_norm_eps", 1e-6);
  c.vocab = j.whole("vocab_size");
  c.rope = j.rope("rope_theta", 10000);
  // Sizes that are not positive are refused by the caller, for all families alike.
  const bool even = c.heads > 0 && c.hidden > 0 && c.hidden % c.heads == 0;
  const std::int64_t own = even ? c.hidden / c.heads : 0;
  const std::int64_t dim = j.whole("head_dim", head_dim_default > 0 ? head_dim_default : own);
  c.head_size = dim == own ? 0 : dim;
}

nlohmann::ordered_json write_sizes(const DecoderConfig& c, const char* type,
                                   const char* architecture) {
  return {{"architectures", {architecture}},
          {"model_type", type},
          {"hidden_size", c.hidden},
          {"intermediate_size", c.ffn},
          {"num_hidden_layers", c.layers},
          {"num_attention_heads", c.heads},
          {"num_key_value_heads", c.kv_heads},
          {"head_dim", c.head_dim()},
          {"hidden_act", "silu"},
          {"max_position_embeddings", c.context},
          {"rms_norm_eps", c.norm_eps},
          {"rope_theta", c.rope.theta},
          {"rope_scaling", rope_scaling_json(c.rope)},
          {"attention_bias", false},
          {"vocab_size", c.vocab}};
}

std::vector<bool> windowed_layers(const DecoderConfig& c) {
  std::vector<bool> all;
  for (std::int64_t i = 0; i < c.layers && i < (1 << 20); ++i)
    all.push_back(c.attention.window_of(i) > 0);
  return all;
}

void read_upper_window(HfConfig& j, DecoderConfig& c) {
  const bool used = j.flag("use_sliding_window", false);
  const std::int64_t window = j.window(4096);
  const std::int64_t begin = j.whole("max_window_layers", 28);
  if (used && window == 0) j.complain("use_sliding_window is true, but sliding_window is null");
  if (used && begin < 0) j.complain(fmt::format("max_window_layers is {}", begin));
  if (used) {
    c.attention.window = window;
    c.attention.window_begin = begin;
  }
  j.layer_types(windowed_layers(c));
}

void write_upper_window(const DecoderConfig& c, nlohmann::ordered_json& json) {
  const bool used = c.attention.window > 0;
  json["use_sliding_window"] = used;
  json["sliding_window"] = nullptr;
  if (used) json["sliding_window"] = c.attention.window;
  json["max_window_layers"] = used ? c.attention.window_begin : c.layers;
}

std::vector<HfTensor> tensors(const DecoderConfig& c) {
  std::vector<HfTensor> all;
  const std::int64_t q = c.heads * c.head_dim();
  const std::int64_t kv = c.kv_heads * c.head_dim();
  all.push_back({"model.embed_tokens.weight", "embedding.weight", 0, c.vocab});
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string hf = fmt::format("model.layers.{}.", i);
    const std::string our = fmt::format("blocks.{}.", i);
    const auto norm = [&](const char* theirs, const char* ours) {
      all.push_back({hf + theirs + ".weight", our + ours + ".weight", 0, c.hidden});
    };
    const auto project = [&](const std::string& kind) {
      const std::string to = our + "attention.qkv." + kind;
      const std::string from = hf + "self_attn.";
      all.push_back({from + "q_proj." + kind, to, 0, q});
      all.push_back({from + "k_proj." + kind, to, q, kv});
      all.push_back({from + "v_proj." + kind, to, q + kv, kv});
    };
    const bool around = c.placement == nn::NormPlacement::around;
    const bool after = c.placement == nn::NormPlacement::after;
    if (!after) norm("input_layernorm", "norm1");
    project("weight");
    if (c.qkv_bias) project("bias");
    if (c.attention.qk_norm != nn::HeadNormKind::none) {
      const bool whole = c.attention.qk_norm == nn::HeadNormKind::whole;
      all.push_back({hf + "self_attn.q_norm.weight", our + "attention.q_norm.weight", 0,
                     whole ? q : c.head_dim()});
      all.push_back({hf + "self_attn.k_norm.weight", our + "attention.k_norm.weight", 0,
                     whole ? kv : c.head_dim()});
    }
    all.push_back({hf + "self_attn.o_proj.weight", our + "attention.out.weight", 0, c.hidden});
    norm("post_attention_layernorm", around || after ? "norm1_after" : "norm2");
    if (around) norm("pre_feedforward_layernorm", "norm2");
    all.push_back({hf + "mlp.gate_proj.weight", our + "mlp.gate_up.weight", 0, c.ffn});
    all.push_back({hf + "mlp.up_proj.weight", our + "mlp.gate_up.weight", c.ffn, c.ffn});
    all.push_back({hf + "mlp.down_proj.weight", our + "mlp.down.weight", 0, c.hidden});
    if (around || after) norm("post_feedforward_layernorm", "norm2_after");
  }
  all.push_back({"model.norm.weight", "head.norm.weight", 0, c.hidden});
  if (!c.tied) all.push_back({"lm_head.weight", "head.weight", 0, c.vocab});
  return all;
}

}  // namespace boreal::model::llama_line
