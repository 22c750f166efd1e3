// The memory of an engine, known before any of it is taken: the weights and the pass are planned on
// the meta device. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "infer/engine.h"
#include "infer/weights.h"

namespace boreal::infer {

struct EnginePlan {
  std::int64_t weights_bytes = 0;
  std::int64_t cache_bytes = 0;      // keys and values
  std::int64_t arena_bytes = 0;      // activations of the largest pass
  std::int64_t logits_bytes = 0;     // and ids
  std::int64_t constants_bytes = 0;  // rotary table
  std::int64_t loading_bytes = 0;    // weights on their way from the file; gone afterwards

  // The largest sum at any moment: what answering takes comes after what loading takes is gone.
  std::int64_t peak_bytes() const;
  std::vector<std::pair<std::string, std::int64_t>> classes() const;
};

EnginePlan plan_engine(const model::Decoder& model, const Weights::FormatOf& format_of,
                       const EngineLimits& limits, std::int64_t threads);

// Refused, with the plan and what would make it fit: more than the machine has.
Status check_engine_fits(const EnginePlan& plan, const std::string& model,
                         std::int64_t memory_bytes);

}  // namespace boreal::infer
