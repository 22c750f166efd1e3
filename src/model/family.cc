#include "model/family.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "model/gpt2.h"
#include "model/llama.h"

namespace boreal::model {

namespace {

struct Family {
  std::string_view name;
  DecoderConfig (*config_of)(const spec::ModelSpec&);
  nlohmann::ordered_json (*hf_config)(const DecoderConfig&);
  Result<DecoderConfig> (*from_hf)(const nlohmann::json&, const std::string&);
  std::vector<HfTensor> (*tensors)(const DecoderConfig&);
};

constexpr std::array kFamilies = {
    Family{"llama", llama::config_of, llama::hf_config, llama::from_hf, llama::tensors},
    Family{"gpt2", gpt2::config_of, gpt2::hf_config, gpt2::from_hf, gpt2::tensors},
};

const Family* find(std::string_view name) {
  for (const Family& family : kFamilies)
    if (family.name == name) return &family;
  return nullptr;
}

Status check(const DecoderConfig& c, const std::string& name, ErrorKind kind) {
  const auto bad = [&](const std::string& why) { return Error{name + ": " + why, kind}; };
  for (const auto& [size, value] : {std::pair{"hidden", c.hidden},
                                    {"layers", c.layers},
                                    {"heads", c.heads},
                                    {"kv_heads", c.kv_heads},
                                    {"ffn", c.ffn},
                                    {"vocab", c.vocab},
                                    {"context", c.context}})
    if (value <= 0 || value > (std::int64_t{1} << 40))
      return bad(fmt::format("{} is {}, but must be from 1 to 2^40", size, value));
  if (c.hidden % c.heads != 0)
    return bad(fmt::format("hidden {} is not a multiple of the {} heads", c.hidden, c.heads));
  if (c.heads % c.kv_heads != 0)
    return bad(
        fmt::format("{} heads are not a multiple of the {} key-value heads", c.heads, c.kv_heads));
  if (c.head_dim() % 2 != 0 || c.ffn % 2 != 0)
    return bad(fmt::format("head size {} and ffn {} must be even (bf16 goes in pairs)",
                           c.head_dim(), c.ffn));
  if (c.head_dim() > 1024) return bad(fmt::format("head size {} is above 1024", c.head_dim()));
  return Done{};
}

}  // namespace

Result<DecoderConfig> config_of(const spec::ModelSpec& spec, std::int64_t vocab) {
  const Family* family = find(spec.family);
  if (family == nullptr)
    return wrong_usage("model.family: \"{}\" is not one of llama, gpt2", spec.family);
  DecoderConfig c = family->config_of(spec);
  c.family = spec.family;
  c.hidden = spec.hidden;
  c.layers = spec.layers;
  c.heads = spec.heads;
  c.kv_heads = spec.kv_heads > 0 ? spec.kv_heads : spec.heads;
  c.vocab = spec.vocab > 0 ? spec.vocab : vocab;
  if (c.vocab == 0)
    return wrong_usage(
        "model.vocab is 0, and no tokenizer gives the number of ids; set model.vocab, or "
        "data.tokenizer to that of the shards");
  c.context = spec.context;
  c.dtype = spec.dtype == "fp32" ? DType::f32 : DType::bf16;
  c.norm_eps = spec.norm_eps;
  c.rope_theta = spec.rope_theta;
  c.tied = spec.tied_embeddings;
  c.init_std = spec.init_std;
  if (c.family == "gpt2" && c.kv_heads != c.heads)
    return wrong_usage("model.kv_heads: gpt2 has as many key-value heads ({}) as heads ({})",
                       c.kv_heads, c.heads);
  RETURN_IF_ERROR(check(c, "model", ErrorKind::usage));
  return c;
}

spec::ModelSpec spec_of(const DecoderConfig& c) {
  spec::ModelSpec spec;
  spec.family = c.family;
  spec.hidden = c.hidden;
  spec.layers = c.layers;
  spec.heads = c.heads;
  spec.kv_heads = c.kv_heads;
  spec.ffn = c.ffn;
  spec.vocab = c.vocab;
  spec.context = c.context;
  spec.dtype = std::string(name_of(c.dtype));
  spec.tied_embeddings = c.tied;
  spec.norm_eps = c.norm_eps;
  spec.rope_theta = c.rope_theta;
  spec.init_std = c.init_std;
  return spec;
}

std::string hf_config_json(const DecoderConfig& config, std::int64_t end_of_text) {
  const Family* family = find(config.family);
  CHECK(family != nullptr);
  nlohmann::ordered_json json = family->hf_config(config);
  json["tie_word_embeddings"] = config.tied;
  json["initializer_range"] = config.init_std;
  json["torch_dtype"] = config.dtype == DType::f32 ? "float32" : "bfloat16";
  json["use_cache"] = true;
  if (end_of_text >= 0) json["bos_token_id"] = json["eos_token_id"] = end_of_text;
  return json.dump(2) + "\n";
}

Result<DecoderConfig> config_from_hf(const std::string& text, const std::string& name,
                                     DType dtype) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return refused("{}: not a JSON object; was the copy cut short?", name);
  const auto type = json.find("model_type");
  if (type == json.end() || !type->is_string()) return refused("{}: no \"model_type\"", name);
  const Family* family = find(type->get<std::string>());
  if (family == nullptr)
    return refused("{}: model_type \"{}\" is not one of llama, gpt2", name,
                   type->get<std::string>());
  try {
    ASSIGN_OR_RETURN(DecoderConfig config, family->from_hf(json, name));
    config.family = family->name;
    config.dtype = dtype;
    if (config.heads <= 0) return refused("{}: {} attention heads", name, config.heads);
    RETURN_IF_ERROR(check(config, name, ErrorKind::refused));
    return config;
  } catch (const nlohmann::json::exception& error) {
    return refused("{}: {}", name, error.what());
  }
}

std::vector<HfTensor> hf_tensors(const DecoderConfig& config) {
  const Family* family = find(config.family);
  CHECK(family != nullptr);
  return family->tensors(config);
}

std::vector<std::string> hf_aliases(const DecoderConfig&, const std::string& hf_name) {
  // Checkpoints of the bare model lack the prefix of the one with a head.
  for (const std::string_view prefix : {"transformer.", "model."})
    if (hf_name.starts_with(prefix)) return {hf_name.substr(prefix.size())};
  return {};
}

}  // namespace boreal::model
