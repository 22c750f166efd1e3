#include "model/hf_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace boreal::model {

namespace {

// Keys that change no number of a forward pass: bookkeeping, dropout, generation, storage.
constexpr std::array kHarmless = {"architectures",
                                  "attention_dropout",
                                  "attention_probs_dropout_prob",
                                  "attn_pdrop",
                                  "cache_implementation",
                                  "chunk_size_feed_forward",
                                  "classifier_dropout",
                                  "dtype",
                                  "embd_pdrop",
                                  "gradient_checkpointing",
                                  "hidden_dropout",
                                  "id2label",
                                  "initializer_range",
                                  "label2id",
                                  "model_type",
                                  "n_ctx",
                                  "output_attentions",
                                  "output_hidden_states",
                                  "output_past",
                                  "pretraining_tp",
                                  "reorder_and_upcast_attn",
                                  "resid_pdrop",
                                  "return_dict",
                                  "task_specific_params",
                                  "tokenizer_class",
                                  "torch_dtype",
                                  "torchscript",
                                  "transformers_version",
                                  "use_cache"};

bool is_harmless(const std::string& key) {
  return std::find(kHarmless.begin(), kHarmless.end(), key) != kHarmless.end() ||
         key.ends_with("_token_id") || key.starts_with("_") || key.starts_with("summary_");
}

std::string kind_of(const nlohmann::json& value) {
  const std::string text = value.dump();
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace

HfConfig::HfConfig(const nlohmann::json& json, std::string name, std::string family)
    : json_(json), name_(std::move(name)), family_(std::move(family)) {}

bool HfConfig::contains(const char* key) const {
  return json_.contains(key);
}

bool HfConfig::has(const char* key) const {
  const auto at = json_.find(key);
  return at != json_.end() && !at->is_null();
}

void HfConfig::complain(const std::string& message) {
  if (complaint_.empty()) complaint_ = message;
}

template <class T>
T HfConfig::get(const char* key, const char* wanted, bool (nlohmann::json::*is)() const noexcept,
                T fallback) {
  asked_.insert(key);
  if (!has(key)) return fallback;
  const nlohmann::json& value = json_.at(key);
  if ((value.*is)()) return value.get<T>();
  complain(fmt::format("{} is {}, but {} is expected", key, kind_of(value), wanted));
  return fallback;
}

std::int64_t HfConfig::whole(const char* key) {
  if (!has(key)) complain(fmt::format("no \"{}\", which a {} model has", key, family_));
  return whole(key, 1);
}
std::int64_t HfConfig::whole(const char* key, std::int64_t fallback) {
  return get<std::int64_t>(key, "a whole number", &nlohmann::json::is_number_integer, fallback);
}
double HfConfig::number(const char* key, double fallback) {
  const auto value = get<double>(key, "a number", &nlohmann::json::is_number, fallback);
  if (!(value >= -1e30 && value <= 1e30))
    complain(fmt::format("{} is {}, but a finite number is expected", key, value));
  return value;
}
bool HfConfig::flag(const char* key, bool fallback) {
  return get<bool>(key, "true or false", &nlohmann::json::is_boolean, fallback);
}
std::string HfConfig::text(const char* key, const std::string& fallback) {
  return get<std::string>(key, "a text", &nlohmann::json::is_string, fallback);
}

void HfConfig::only(const char* key, bool value, bool fallback) {
  if (const bool found = flag(key, fallback); found != value)
    complain(fmt::format("{} is {}, but the {} family here has it {}", key, found, family_, value));
}
void HfConfig::one_of(const char* key, const std::vector<std::string>& values,
                      const std::string& fallback) {
  const std::string found = text(key, fallback);
  if (std::find(values.begin(), values.end(), found) != values.end()) return;
  complain(fmt::format("{} is \"{}\", but the {} family here has \"{}\"", key, found, family_,
                       fmt::join(values, "\" or \"")));
}

std::int64_t HfConfig::window(std::int64_t fallback) {
  const std::int64_t keys = whole("sliding_window", contains("sliding_window") ? 0 : fallback);
  if (has("sliding_window") && keys <= 0)
    complain(fmt::format("sliding_window is {}, but must be positive or null", keys));
  return keys;
}

bool HfConfig::every_layer_is_full() const {
  if (!has("layer_types") || !json_.at("layer_types").is_array()) return false;
  const nlohmann::json& types = json_.at("layer_types");
  return std::all_of(types.begin(), types.end(),
                     [](const auto& type) { return type == "full_attention"; });
}

void HfConfig::layer_types(const std::vector<bool>& windowed) {
  asked_.insert("layer_types");
  if (!has("layer_types")) return;
  const nlohmann::json& types = json_.at("layer_types");
  if (!types.is_array() || types.size() != windowed.size())
    return complain(fmt::format("layer_types has {} entries, but the model {} layers",
                                types.is_array() ? types.size() : 0, windowed.size()));
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    const char* expected = windowed[i] ? "sliding_attention" : "full_attention";
    if (types[i] != expected)
      return complain(fmt::format(
          "layer_types says {} for layer {}, but sliding_window and the {} family make it \"{}\"",
          kind_of(types[i]), i, family_, expected));
  }
}

void HfConfig::read_scaling(const char* key, nn::RotaryOptions& rope) {
  asked_.insert(key);
  if (!has(key)) return;
  const nlohmann::json& scaling = json_.at(key);
  if (!scaling.is_object())
    return complain(fmt::format("{} is {}, but an object is expected", key, kind_of(scaling)));
  // Older files have "type"; files of both agree.
  HfConfig inner(scaling, name_, family_);
  const std::string type = inner.text("rope_type", inner.text("type", "default"));
  rope.theta = inner.number("rope_theta", rope.theta);
  if (type == "linear" || type == "llama3") {
    rope.scaling = type == "linear" ? nn::RotaryScaling::linear : nn::RotaryScaling::llama3;
    rope.factor = inner.number("factor", 0);
    if (!(rope.factor > 0)) inner.complain(fmt::format("factor is {}", rope.factor));
  } else if (type != "default") {
    inner.complain(
        fmt::format("rope_type is \"{}\"; known here are default, linear, llama3", type));
  }
  if (type == "llama3") {
    rope.low = inner.number("low_freq_factor", 1);
    rope.high = inner.number("high_freq_factor", 4);
    rope.original_context = inner.whole("original_max_position_embeddings");
    if (!(rope.low > 0 && rope.high > rope.low && rope.original_context > 0))
      inner.complain(
          fmt::format("low_freq_factor {} and high_freq_factor {} must rise from above 0, and "
                      "original_max_position_embeddings {} be positive",
                      rope.low, rope.high, rope.original_context));
  }
  if (inner.text("type", type) != type)
    inner.complain(
        fmt::format("type is \"{}\", but rope_type \"{}\"", inner.text("type", type), type));
  if (const Status left = inner.finish(); !left.ok())
    complain(fmt::format("in {}: {}", key, left.error().message.substr(name_.size() + 2)));
}

nn::RotaryOptions HfConfig::rope(const char* theta_key, double fallback) {
  nn::RotaryOptions rope;
  rope.theta = number(theta_key, fallback);
  read_scaling("rope_scaling", rope);
  read_scaling("rope_parameters", rope);
  if (!(rope.theta > 0))
    complain(fmt::format("{} is {}, but must be positive", theta_key, rope.theta));
  return rope;
}

Status HfConfig::finish() {
  for (const auto& [key, value] : json_.items()) {
    if (asked_.contains(key) || is_harmless(key)) continue;
    if (value.is_null() || value == false) continue;  // what it would switch on is off
    complain(fmt::format(
        "{} is {}, which the {} family here does not know; a model that needs it would come out "
        "wrong",
        key, kind_of(value), family_));
  }
  if (complaint_.empty()) return Done{};
  return refused("{}: {}", name_, complaint_);
}

nlohmann::ordered_json rope_scaling_json(const nn::RotaryOptions& rope) {
  if (rope.scaling == nn::RotaryScaling::none) return nullptr;
  if (rope.scaling == nn::RotaryScaling::linear)
    return {{"type", "linear"}, {"rope_type", "linear"}, {"factor", rope.factor}};
  return {{"rope_type", "llama3"},
          {"factor", rope.factor},
          {"low_freq_factor", rope.low},
          {"high_freq_factor", rope.high},
          {"original_max_position_embeddings", rope.original_context}};
}

}  // namespace boreal::model
