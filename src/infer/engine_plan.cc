#include "infer/engine_plan.h"

#include <algorithm>

namespace boreal::infer {

std::int64_t EnginePlan::peak_bytes() const {
  return weights_bytes + constants_bytes +
         std::max(loading_bytes, cache_bytes + arena_bytes + logits_bytes);
}

std::vector<std::pair<std::string, std::int64_t>> EnginePlan::classes() const {
  return {{"weights", weights_bytes},     {"keys and values", cache_bytes},
          {"activations", arena_bytes},   {"logits", logits_bytes},
          {"constants", constants_bytes}, {"loading", loading_bytes}};
}

EnginePlan plan_engine(const model::Decoder& model, const Weights::FormatOf& format_of,
                       const EngineLimits& limits, std::int64_t threads) {
  const model::DecoderConfig& c = model.config();
  Weights weights(model.parameters(), c.dtype, format_of, true);
  EnginePlan plan{
      .weights_bytes = weights.bytes(),
      .cache_bytes = Engine::cache_bytes(model, limits),
      .arena_bytes = Engine::arena_bytes(model, weights, device::meta_context(threads), limits),
      .logits_bytes = limits.rows * (c.vocab + 4) * 4};
  plan.constants_bytes = c.context * c.rotary_dim() * 4;
  for (const nn::Parameter* p : model.parameters())
    plan.loading_bytes = std::max(plan.loading_bytes, p->shape.elements() * 4);
  return plan;
}

Status check_engine_fits(const EnginePlan& plan, const std::string& model,
                         std::int64_t memory_bytes) {
  if (plan.peak_bytes() <= memory_bytes) return Done{};
  std::string classes;
  for (const auto& [name, bytes] : plan.classes())
    classes += fmt::format("{}{} {:.2f}", classes.empty() ? "" : ", ", name,
                           static_cast<double>(bytes) * 1e-9);
  return refused(
      "{}: answering needs {:.2f} GB of memory ({}), this machine gives {:.2f} GB. Smaller: "
      "weights of 8 or 4 bits (boreal export --format gguf --quantize q8_0), or a model with a "
      "shorter context",
      model, static_cast<double>(plan.peak_bytes()) * 1e-9, classes,
      static_cast<double>(memory_bytes) * 1e-9);
}

}  // namespace boreal::infer
