// Gemma 2 (Gemma team 2024): norms before and after each sublayer that keep their distance from
// one, GeGLU, soft caps of scores and logits, a window in every other layer, embedding times the
// root of its width.
#include <nlohmann/json.hpp>

#include "model/families.h"
#include "model/llama_line.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = llama_line::default_ffn(spec);
  c.norm_plus_one = true;
  c.placement = nn::NormPlacement::around;
  c.mlp = nn::MlpKind::geglu;
  c.attention.soft_cap = 50;
  c.attention.window = 4096;
  c.attention.window_period = 2;
  c.scaled_embedding = true;
  c.logit_soft_cap = 30;
  return c;
}

nlohmann::ordered_json cap_json(double cap) {
  return cap > 0 ? nlohmann::ordered_json(cap) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  auto json = llama_line::write_sizes(c, "gemma2", "Gemma2ForCausalLM");
  json["hidden_act"] = json["hidden_activation"] = "gelu_pytorch_tanh";
  const auto dim = static_cast<double>(c.head_dim());
  json["query_pre_attn_scalar"] = c.attention.scalar > 0 ? c.attention.scalar : dim;
  json["attn_logit_softcapping"] = cap_json(c.attention.soft_cap);
  json["final_logit_softcapping"] = cap_json(c.logit_soft_cap);
  // Without a window transformers still makes the mask of one: as long as the context.
  json["sliding_window"] = c.attention.window > 0 ? c.attention.window : c.context;
  for (const bool windowed : llama_line::windowed_layers(c))
    json["layer_types"].push_back(windowed ? "sliding_attention" : "full_attention");
  return json;
}

double cap_of(HfConfig& j, const char* key, double fallback) {
  // null is "none", and absent the family's own.
  const double cap = j.number(key, j.contains(key) ? 0 : fallback);
  if (cap < 0) j.complain(fmt::format("{} is {}, but must be positive or null", key, cap));
  return cap;
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  llama_line::read_sizes(j, c, 256);
  c.tied = j.flag("tie_word_embeddings", true);
  const std::string gelu = "gelu_pytorch_tanh";
  // transformers goes by the second one.
  j.one_of("hidden_act", {gelu, "gelu"}, gelu);
  j.one_of("hidden_activation", {gelu}, gelu);
  j.only("attention_bias", false, false);
  c.attention.scalar = j.number("query_pre_attn_scalar", 256);
  if (!(c.attention.scalar > 0))
    j.complain(
        fmt::format("query_pre_attn_scalar is {}, but must be positive", c.attention.scalar));
  if (c.heads > 0 && c.attention.scalar == static_cast<double>(c.head_dim()))
    c.attention.scalar = 0;
  c.attention.soft_cap = cap_of(j, "attn_logit_softcapping", 50);
  c.logit_soft_cap = cap_of(j, "final_logit_softcapping", 30);
  c.attention.window = j.window(4096);
  if (j.every_layer_is_full())
    c.attention.window = 0;
  else
    j.layer_types(llama_line::windowed_layers(c));
  return c;
}

}  // namespace

const Family kGemma2 = {
    .name = "gemma2",
    .hf_type = "gemma2",
    .choices = {.head_dim = true, .window = true, .soft_caps = true, .scalar = true},
    .defaults = defaults,
    .to_hf = to_hf,
    .from_hf = from_hf,
    .tensors = llama_line::tensors};

}  // namespace boreal::model
