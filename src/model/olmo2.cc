// OLMo 2 (OLMo team 2025): a Llama with its norms behind the sublayers, inside the residual branch,
// and an RMSNorm over all query heads and one over all key heads.
#include <nlohmann/json.hpp>

#include "model/families.h"
#include "model/llama_line.h"

namespace boreal::model {

namespace {

DecoderConfig defaults(const spec::ModelSpec& spec) {
  DecoderConfig c;
  c.ffn = llama_line::default_ffn(spec);
  c.placement = nn::NormPlacement::after;
  c.attention.qk_norm = nn::HeadNormKind::whole;
  return c;
}

nlohmann::ordered_json to_hf(const DecoderConfig& c) {
  return llama_line::write_sizes(c, "olmo2", "Olmo2ForCausalLM");
}

DecoderConfig from_hf(HfConfig& j) {
  DecoderConfig c = defaults({});
  llama_line::read_sizes(j, c);
  if (c.head_size > 0)
    j.complain(
        fmt::format("head_dim is {}, but hidden_size {} / num_attention_heads {} is not, and "
                    "the olmo2 family here has no other",
                    c.head_size, c.hidden, c.heads));
  c.tied = j.flag("tie_word_embeddings", false);
  j.one_of("hidden_act", {"silu"}, "silu");
  j.only("attention_bias", false, false);
  return c;
}

}  // namespace

const Family kOlmo2 = {.name = "olmo2",
                       .hf_type = "olmo2",
                       .choices = {},
                       .defaults = defaults,
                       .to_hf = to_hf,
                       .from_hf = from_hf,
                       .tensors = llama_line::tensors};

}  // namespace boreal::model
