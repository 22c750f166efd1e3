// GPT-2 (Radford et al. 2019): LayerNorm, learned positions, biases, GELU by tanh, tied head.
#include <nlohmann/json.hpp>

#include "model/families.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = spec.ffn > 0 ? spec.ffn : 4 * spec.hidden;
  c.norm = nn::NormKind::layer;
  c.mlp = nn::MlpKind::gelu;
  c.qkv_bias = c.bias = true;
  c.position = PositionKind::learned;
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
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

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  c.hidden = j.whole("n_embd");
  c.ffn = j.whole("n_inner", 4 * c.hidden);
  c.layers = j.whole("n_layer");
  c.heads = c.kv_heads = j.whole("n_head");
  c.context = j.whole("n_positions", 1024);
  c.norm_eps = j.number("layer_norm_epsilon", 1e-5);
  c.vocab = j.whole("vocab_size");
  c.tied = j.flag("tie_word_embeddings", true);
  j.one_of("activation_function", {"gelu_new", "gelu_pytorch_tanh"}, "gelu_new");
  j.only("scale_attn_weights", true, true);
  j.only("scale_attn_by_inverse_layer_idx", false, false);
  j.only("add_cross_attention", false, false);
  return c;
}

std::vector<HfTensor> tensors(const DecoderConfig& c) {
  std::vector<HfTensor> all;
  all.push_back({"transformer.wte.weight", "embedding.weight", 0, c.vocab});
  if (c.position == PositionKind::learned)
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

}  // namespace

const Family kGpt2 = {.name = "gpt2",
                      .hf_type = "gpt2",
                      .choices = {.kv_heads = false},
                      .defaults = defaults,
                      .to_hf = to_hf,
                      .from_hf = from_hf,
                      .tensors = tensors};

}  // namespace boreal::model
