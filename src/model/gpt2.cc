#include "model/gpt2.h"

#include <nlohmann/json.hpp>

namespace boreal::model::gpt2 {

DecoderConfig config_of(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = spec.ffn > 0 ? spec.ffn : 4 * spec.hidden;
  c.norm = nn::NormKind::layer;
  c.mlp = nn::MlpKind::gelu;
  c.bias = true;
  c.rotary = false;
  return c;
}

nlohmann::ordered_json hf_config(const DecoderConfig& c) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_embd", c.hidden},
          {"n_inner", c.ffn},
          {"n_layer", c.layers},
          {"n_head", c.heads},
          {"n_positions", c.context},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", c.norm_eps},
          {"attn_pdrop", 0.0},
          {"embd_pdrop", 0.0},
          {"resid_pdrop", 0.0},
          {"vocab_size", c.vocab}};
}

Result<DecoderConfig> from_hf(const nlohmann::json& j, const std::string& name) {
  DecoderConfig c = config_of({});
  c.hidden = j.at("n_embd");
  c.ffn = j.contains("n_inner") && !j["n_inner"].is_null() ? j["n_inner"].get<std::int64_t>()
                                                           : 4 * c.hidden;
  c.layers = j.at("n_layer");
  c.heads = j.at("n_head");
  c.kv_heads = c.heads;
  c.context = j.value("n_positions", 1024);
  c.norm_eps = j.value("layer_norm_epsilon", 1e-5);
  c.vocab = j.at("vocab_size");
  c.tied = j.value("tie_word_embeddings", true);
  if (const auto act = j.value("activation_function", std::string("gelu_new"));
      act != "gelu_new" && act != "gelu_pytorch_tanh")
    return refused("{}: activation_function is \"{}\"; the gpt2 family here has \"gelu_new\"", name,
                   act);
  if (!j.value("scale_attn_weights", true) || j.value("scale_attn_by_inverse_layer_idx", false))
    return refused(
        "{}: attention is not scaled by 1 / sqrt(head size) alone; the gpt2 family here is", name);
  return c;
}

std::vector<HfTensor> tensors(const DecoderConfig& c) {
  std::vector<HfTensor> all;
  all.push_back({"transformer.wte.weight", "embedding.weight", 0, c.vocab});
  all.push_back({"transformer.wpe.weight", "embedding.positions", 0, c.context});
  const auto pair = [&](const std::string& hf, const std::string& our, std::int64_t rows,
                        bool matrix) {
    all.push_back({hf + ".weight", our + ".weight", 0, rows, matrix});
    all.push_back({hf + ".bias", our + ".bias", 0, rows});
  };
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string hf = fmt::format("transformer.h.{}.", i);
    const std::string our = fmt::format("blocks.{}.", i);
    pair(hf + "ln_1", our + "norm1", c.hidden, false);
    // Conv1D of the original keeps matrices as [in, out].
    pair(hf + "attn.c_attn", our + "attention.qkv", 3 * c.hidden, true);
    pair(hf + "attn.c_proj", our + "attention.out", c.hidden, true);
    pair(hf + "ln_2", our + "norm2", c.hidden, false);
    pair(hf + "mlp.c_fc", our + "mlp.up", c.ffn, true);
    pair(hf + "mlp.c_proj", our + "mlp.down", c.hidden, true);
  }
  pair("transformer.ln_f", "head.norm", c.hidden, false);
  if (!c.tied) all.push_back({"lm_head.weight", "head.weight", 0, c.vocab});
  return all;
}

}  // namespace boreal::model::gpt2
