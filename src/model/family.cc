#include "model/family.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "model/families.h"

namespace boreal::model {

namespace {

constexpr std::array kFamilies = {&kLlama, &kGpt2,  &kNeox,   &kMistral,
                                  &kQwen2, &kQwen3, &kGemma2, &kOlmo2};

const Family* find(std::string_view name) {
  for (const Family* family : kFamilies)
    if (family->name == name) return family;
  return nullptr;
}

std::string names(std::string_view Family::*which) {
  std::string all;
  for (const Family* family : kFamilies)
    all += fmt::format("{}{}", all.empty() ? "" : ", ", family->*which);
  return all;
}

Status check_positions(const DecoderConfig& c, const std::string& name, ErrorKind kind) {
  const auto bad = [&](const std::string& why) { return Error{name + ": " + why, kind}; };
  if (c.position == PositionKind::rotary) {
    if (!(c.rotary_percent > 0 && c.rotary_percent <= 1))
      return bad(
          fmt::format("a share of {} of each head turns, but it must be above 0 and at most 1",
                      c.rotary_percent));
    if (c.rotary_dim() <= 0 || c.rotary_dim() % 2 != 0)
      return bad(
          fmt::format("rotary positions turn {} of the {} features of a head (a share of {}), "
                      "but features turn in pairs",
                      c.rotary_dim(), c.head_dim(), c.rotary_percent));
  }
  const AttentionFeatures& a = c.attention;
  if (a.window < 0 || a.window > (std::int64_t{1} << 40) || a.window_begin < 0)
    return bad(fmt::format("a window of {} keys from layer {} on", a.window, a.window_begin));
  return Done{};
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
  if (c.head_size == 0 && c.hidden % c.heads != 0)
    return bad(fmt::format("hidden {} is not a multiple of the {} heads", c.hidden, c.heads));
  if (c.heads % c.kv_heads != 0)
    return bad(
        fmt::format("{} heads are not a multiple of the {} key-value heads", c.heads, c.kv_heads));
  if (c.head_dim() % 2 != 0 || c.ffn % 2 != 0)
    return bad(fmt::format("head size {} and ffn {} must be even (bf16 goes in pairs)",
                           c.head_dim(), c.ffn));
  if (c.head_dim() > 1024 || c.head_dim() <= 0)
    return bad(fmt::format("head size {} is not from 1 to 1024", c.head_dim()));
  return check_positions(c, name, kind);
}

// What the spec chooses although the family's config.json could not say it.
Status check_choices(const Family& family, const spec::ModelSpec& spec) {
  const Choices& may = family.choices;
  const auto other = [&](const char* key, auto value, const char* others) {
    return wrong_usage("{} is {}, but the {} family has no such choice; {} has", key, value,
                       family.name, others);
  };
  if (!may.kv_heads && spec.kv_heads > 0 && spec.kv_heads != spec.heads)
    return wrong_usage("model.kv_heads: {} has as many key-value heads ({}) as heads ({})",
                       family.name, spec.kv_heads, spec.heads);
  if (!may.head_dim && spec.head_dim > 0 && spec.head_dim * spec.heads != spec.hidden)
    return other("model.head_dim", spec.head_dim, "llama, mistral, qwen3 or gemma2");
  if (!may.window && spec.attention.window > 0)
    return other("model.attention.window", spec.attention.window,
                 "mistral, qwen2, qwen3 or gemma2");
  if (!may.window_begin && spec.attention.window_begin > 0)
    return other("model.attention.window_begin", spec.attention.window_begin, "qwen2 or qwen3");
  if (!may.soft_caps && spec.attention.soft_cap > 0)
    return other("model.attention.soft_cap", spec.attention.soft_cap, "gemma2");
  if (!may.soft_caps && spec.logit_soft_cap > 0)
    return other("model.logit_soft_cap", spec.logit_soft_cap, "gemma2");
  if (!may.scalar && spec.attention.scalar > 0)
    return other("model.attention.scalar", spec.attention.scalar, "gemma2");
  if (!may.rotary_percent && spec.rotary_percent > 0 && spec.rotary_percent < 1)
    return other("model.rotary_percent", spec.rotary_percent, "neox");
  return Done{};
}

constexpr std::pair<PositionKind, std::string_view> kPositions[] = {
    {PositionKind::rotary, "rotary"},
    {PositionKind::learned, "learned"},
    {PositionKind::alibi, "alibi"}};
constexpr std::pair<nn::RotaryScaling, std::string_view> kScalings[] = {
    {nn::RotaryScaling::none, "none"},
    {nn::RotaryScaling::linear, "linear"},
    {nn::RotaryScaling::llama3, "llama3"}};

template <class Table>
std::string name_in(const Table& table, decltype(table[0].first) kind) {
  for (const auto& [known, name] : table)
    if (known == kind) return std::string(name);
  CHECK(false);
}

// Positions, windows and caps as the spec has them.
Status take_choices(const Family& family, const spec::ModelSpec& spec, DecoderConfig& c) {
  if (spec.head_dim * spec.heads != spec.hidden) c.head_size = spec.head_dim;
  for (const auto& [kind, name] : kPositions) {
    if (spec.position != name || kind == c.position) continue;
    if (kind != PositionKind::alibi)
      return wrong_usage("model.position is {}, but the {} family has {} positions, or alibi",
                         spec.position, family.name, name_in(kPositions, c.position));
    c.position = kind;
  }
  if (spec.rotary_percent > 0) c.rotary_percent = spec.rotary_percent;
  c.rope.theta = spec.rope_theta;
  for (const auto& [kind, name] : kScalings)
    if (spec.rope_scaling.type == name) c.rope.scaling = kind;
  if (c.rope.scaling != nn::RotaryScaling::none) {
    c.rope.factor = spec.rope_scaling.factor;
    c.rope.low = spec.rope_scaling.low;
    c.rope.high = spec.rope_scaling.high;
    c.rope.original_context = spec.rope_scaling.original_context;
  }
  if (spec.attention.window >= 0) c.attention.window = spec.attention.window;
  if (spec.attention.soft_cap >= 0) c.attention.soft_cap = spec.attention.soft_cap;
  if (spec.logit_soft_cap >= 0) c.logit_soft_cap = spec.logit_soft_cap;
  c.attention.window_begin = spec.attention.window_begin;
  c.attention.scalar = spec.attention.scalar;
  if (c.attention.scalar == static_cast<double>(c.head_dim())) c.attention.scalar = 0;
  return Done{};
}

}  // namespace

Result<DecoderConfig> config_of(const spec::ModelSpec& spec, std::int64_t vocab) {
  const Family* family = find(spec.family);
  if (family == nullptr)
    return wrong_usage("model.family: \"{}\" is not one of {}", spec.family, names(&Family::name));
  RETURN_IF_ERROR(check_choices(*family, spec));
  DecoderConfig c = family->defaults(spec);
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
  c.tied = spec.tied_embeddings;
  c.init_std = spec.init_std;
  if (c.heads > 0) RETURN_IF_ERROR(take_choices(*family, spec, c));
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
  spec.head_dim = c.head_size;
  spec.position = name_in(kPositions, c.position);
  spec.rope_theta = c.rope.theta;
  if (c.rotary_percent < 1) spec.rotary_percent = c.rotary_percent;
  spec.rope_scaling = {.type = name_in(kScalings, c.rope.scaling),
                       .factor = c.rope.factor,
                       .low = c.rope.low,
                       .high = c.rope.high,
                       .original_context = c.rope.original_context};
  spec.attention = {.window = c.attention.window,
                    .window_begin = c.attention.window_begin,
                    .soft_cap = c.attention.soft_cap,
                    .scalar = c.attention.scalar};
  spec.logit_soft_cap = c.logit_soft_cap;
  spec.init_std = c.init_std;
  return spec;
}

std::string hf_config_json(const DecoderConfig& config, std::int64_t end_of_text) {
  const Family* family = find(config.family);
  CHECK(family != nullptr);
  nlohmann::ordered_json json = family->to_hf(config);
  if (config.position == PositionKind::alibi) json["position_embedding_type"] = "alibi";
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
  const auto* const family = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family* f) {
    return f->hf_type == type->get<std::string>();
  });
  if (family == kFamilies.end())
    return refused("{}: model_type \"{}\" is not one of {}", name, type->get<std::string>(),
                   names(&Family::hf_type));
  try {
    HfConfig reader(json, name, std::string((*family)->name));
    DecoderConfig config = (*family)->from_hf(reader);
    if (const std::string kind = reader.text("position_embedding_type", ""); kind == "alibi")
      config.position = PositionKind::alibi;
    else if (!kind.empty())
      reader.complain(
          fmt::format("position_embedding_type is \"{}\", but known here is \"alibi\"", kind));
    config.init_std = reader.number("initializer_range", config.init_std);
    RETURN_IF_ERROR(reader.finish());
    config.family = (*family)->name;
    config.dtype = dtype;
    if (config.heads <= 0) return refused("{}: {} attention heads", name, config.heads);
    RETURN_IF_ERROR(check(config, name, ErrorKind::refused));
    return config;
  } catch (const nlohmann::json::exception& error) {
    return refused("{}: {}", name, error.what());
  }
}

Status exportable(const DecoderConfig& config) {
  if (config.position != PositionKind::alibi) return Done{};
  return refused(
      "the model has model.position alibi, which transformers does not know for the {} family; it "
      "would load the model without positions",
      config.family);
}

std::int64_t HfTensor::row(std::int64_t in_file) const {
  if (heads == 0) return row_begin + in_file;
  const std::int64_t dim = rows / (3 * heads);
  const std::int64_t head = in_file / (3 * dim);
  const std::int64_t kind = in_file / dim % 3;
  return row_begin + (kind * heads + head) * dim + in_file % dim;
}

std::string hf_head_name(const DecoderConfig& config) {
  DecoderConfig untied = config;
  untied.tied = false;
  for (const HfTensor& tensor : hf_tensors(untied))
    if (tensor.parameter == "head.weight") return tensor.hf_name;
  CHECK(false, "{}", config.family);
}

std::vector<HfTensor> hf_tensors(const DecoderConfig& config) {
  const Family* family = find(config.family);
  CHECK(family != nullptr);
  return family->tensors(config);
}

std::vector<std::string> hf_aliases(const DecoderConfig&, const std::string& hf_name) {
  // Checkpoints of the bare model lack the prefix of the one with a head.
  for (const std::string_view prefix : {"transformer.", "model.", "gpt_neox."})
    if (hf_name.starts_with(prefix)) return {hf_name.substr(prefix.size())};
  return {};
}

}  // namespace boreal::model
