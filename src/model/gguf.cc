#include "model/gguf.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "model/family.h"

namespace boreal::model {

using tensor::GgufFacts;
using tensor::GgufFile;
using tensor::GgufTensor;
using tensor::GgufType;

namespace {

struct Architecture {
  std::string_view family;  // model_type of Hugging Face, and llama.cpp's name
  bool neighbours_turn;     // the order of the rows of queries and keys (GgufRows)
};
constexpr std::array kArchitectures = {Architecture{"llama", true}, Architecture{"gpt2", false}};

struct Fact {
  std::string_view suffix;             // of "llama."
  std::array<std::string_view, 2> hf;  // keys of config.json: of llama and its kin, of gpt2
  bool real = false;
};
constexpr std::array kFacts = {
    Fact{"context_length", {"max_position_embeddings", "n_positions"}},
    Fact{"embedding_length", {"hidden_size", "n_embd"}},
    Fact{"block_count", {"num_hidden_layers", "n_layer"}},
    Fact{"feed_forward_length", {"intermediate_size", "n_inner"}},
    Fact{"attention.head_count", {"num_attention_heads", "n_head"}},
    Fact{"attention.head_count_kv", {"num_key_value_heads", ""}},
    Fact{"attention.layer_norm_rms_epsilon", {"rms_norm_eps", ""}, true},
    Fact{"attention.layer_norm_epsilon", {"", "layer_norm_epsilon"}, true},
    Fact{"rope.freq_base", {"rope_theta", ""}, true},
    Fact{"vocab_size", {"vocab_size", "vocab_size"}},
};

// Parts of Hugging Face names and what llama.cpp calls them; N stands for the number of the block.
constexpr std::array<std::pair<std::string_view, std::string_view>, 23> kNames = {{
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
    {"model.layers.N.input_layernorm", "blk.N.attn_norm"},
    {"model.layers.N.self_attn.q_proj", "blk.N.attn_q"},
    {"model.layers.N.self_attn.k_proj", "blk.N.attn_k"},
    {"model.layers.N.self_attn.v_proj", "blk.N.attn_v"},
    {"model.layers.N.self_attn.o_proj", "blk.N.attn_output"},
    {"model.layers.N.self_attn.q_norm", "blk.N.attn_q_norm"},
    {"model.layers.N.self_attn.k_norm", "blk.N.attn_k_norm"},
    {"model.layers.N.post_attention_layernorm", "blk.N.ffn_norm"},
    {"model.layers.N.mlp.gate_proj", "blk.N.ffn_gate"},
    {"model.layers.N.mlp.up_proj", "blk.N.ffn_up"},
    {"model.layers.N.mlp.down_proj", "blk.N.ffn_down"},
    {"transformer.wte", "token_embd"},
    {"transformer.wpe", "position_embd"},
    {"transformer.ln_f", "output_norm"},
    {"transformer.h.N.ln_1", "blk.N.attn_norm"},
    {"transformer.h.N.attn.c_attn", "blk.N.attn_qkv"},
    {"transformer.h.N.attn.c_proj", "blk.N.attn_output"},
    {"transformer.h.N.ln_2", "blk.N.ffn_norm"},
    {"transformer.h.N.mlp.c_fc", "blk.N.ffn_up"},
    {"transformer.h.N.mlp.c_proj", "blk.N.ffn_down"},
}};

const Architecture* find(std::string_view family) {
  for (const Architecture& a : kArchitectures)
    if (a.family == family) return &a;
  return nullptr;
}

// "model.layers.12.mlp.up_proj.weight" -> "blk.12.ffn_up.weight"
std::optional<std::string> gguf_name(const std::string& hf) {
  const std::size_t ending = hf.rfind('.');
  std::string stem = hf.substr(0, ending);
  std::string number;
  for (const std::string_view prefix : {"model.layers.", "transformer.h."})
    if (stem.starts_with(prefix)) {
      const std::size_t end = stem.find('.', prefix.size());
      number = stem.substr(prefix.size(), end - prefix.size());
      stem.replace(prefix.size(), number.size(), "N");
    }
  for (const auto& [theirs, ours] : kNames) {
    if (theirs != stem) continue;
    std::string name(ours);
    if (!number.empty()) name.replace(name.find('N'), 1, number);
    return name + hf.substr(ending);
  }
  return std::nullopt;
}

std::size_t dialect(std::string_view family) {
  return family == "gpt2" ? 1 : 0;
}

std::uint32_t file_type(GgufType type) {
  switch (type) {
    case GgufType::f32: return 0;
    case GgufType::f16: return 1;
    case GgufType::q4_0: return 2;
    case GgufType::q8_0: return 7;
    case GgufType::bf16: return 32;
  }
  return 0;
}

}  // namespace

std::int64_t GgufRows::our_row(std::int64_t r) const {
  if (head_dim == 0) return row_begin + r;
  const std::int64_t inside = r % head_dim;
  return row_begin + r - inside + inside % 2 * (head_dim / 2) + inside / 2;
}

Result<std::vector<GgufRows>> gguf_tensors(const DecoderConfig& config) {
  const Architecture* architecture = find(config.family);
  if (architecture == nullptr)
    return refused("GGUF: the {} family is not written or read here; llama and gpt2 are",
                   config.family);
  std::vector<GgufRows> all;
  for (const HfTensor& t : hf_tensors(config)) {
    const auto name = gguf_name(t.hf_name);
    if (!name) return refused("GGUF: no name for tensor \"{}\"", t.hf_name);
    const bool turned =
        name->find("attn_q.") != std::string::npos || name->find("attn_k.") != std::string::npos;
    all.push_back({*name, t.parameter, t.row_begin, t.rows,
                   architecture->neighbours_turn && turned ? config.head_dim() : 0});
  }
  return all;
}

Result<GgufFacts> gguf_facts(const DecoderConfig& config, const std::string& name, GgufType type) {
  const Architecture* architecture = find(config.family);
  if (architecture == nullptr)
    return refused("GGUF: the {} family is not written here; llama and gpt2 are", config.family);
  const nlohmann::json json = nlohmann::json::parse(hf_config_json(config, -1));
  GgufFacts facts;
  facts.text("general.architecture", architecture->family);
  facts.text("general.name", name);
  facts.u32("general.quantization_version", 2);
  facts.u32("general.file_type", file_type(type));
  for (const Fact& fact : kFacts) {
    const std::string_view hf = fact.hf[dialect(config.family)];
    if (hf.empty()) continue;
    const std::string key = fmt::format("{}.{}", architecture->family, fact.suffix);
    if (fact.real)
      facts.f32(key, json.at(hf).get<float>());
    else
      facts.u32(key, json.at(hf).get<std::uint32_t>());
  }
  if (config.rotary_dim() > 0)
    facts.u32(fmt::format("{}.rope.dimension_count", architecture->family),
              static_cast<std::uint32_t>(config.rotary_dim()));
  return facts;
}

Result<DecoderConfig> config_of_gguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string name, file.text("general.architecture"));
  const Architecture* architecture = find(name);
  if (architecture == nullptr)
    return refused("{}: general.architecture is \"{}\"; llama and gpt2 are read here", file.path(),
                   name);
  if (file.has(name + ".rope.scaling.type")) {
    ASSIGN_OR_RETURN(const std::string scaling, file.text(name + ".rope.scaling.type"));
    if (scaling != "none")
      return refused("{}: rope.scaling.type is \"{}\"; plain rotary positions are read here",
                     file.path(), scaling);
  }
  if (file.find("rope_freqs.weight") != nullptr)
    return refused("{}: has a table of rotary frequencies; plain rotary positions are read here",
                   file.path());
  nlohmann::json json = {{"model_type", name}};
  for (const Fact& fact : kFacts) {
    const std::string_view hf = fact.hf[dialect(name)];
    const std::string key = fmt::format("{}.{}", name, fact.suffix);
    if (hf.empty() || !file.has(key)) continue;
    if (fact.real) {
      ASSIGN_OR_RETURN(json[hf], file.number(key));
    } else {
      ASSIGN_OR_RETURN(json[hf], file.integer(key));
    }
  }
  // Many writers leave the number of ids to the table itself.
  ASSIGN_OR_RETURN(const GgufTensor* table, file.need("token_embd.weight"));
  if (!json.contains("vocab_size")) json["vocab_size"] = table->shape.front();
  json["tie_word_embeddings"] = file.find("output.weight") == nullptr;
  const auto wide = [](const GgufTensor& t) {
    // Tables of positions are fp32 beside matrices of any type.
    return t.shape.size() > 1 && t.name != "position_embd.weight" &&
           (t.type == static_cast<std::uint32_t>(GgufType::f32) ||
            t.type == static_cast<std::uint32_t>(GgufType::f16));
  };
  return config_from_hf(json.dump(), file.path(),
                        std::ranges::any_of(file.tensors(), wide) ? DType::f32 : DType::bf16);
}

}  // namespace boreal::model
