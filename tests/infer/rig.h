// A tiny model with drawn weights, and engines over it. Thread rule: one thread's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/weights.h"

namespace boreal::infer {

class Rig {
 public:
  Rig(const std::string& family, DType dtype, std::int64_t threads,
      kernels::WeightFormat format = kernels::WeightFormat::plain);

  Engine engine(const EngineLimits& limits);
  const model::DecoderConfig& config() const { return model_->config(); }
  // Ids that look random and depend on `name` alone.
  std::vector<std::int32_t> ids(const std::string& name, std::int64_t count) const;

 private:
  std::unique_ptr<device::Pool> pool_;
  device::Context ctx_;
  std::unique_ptr<model::Decoder> model_;
  std::unique_ptr<Weights> weights_;
};

}  // namespace boreal::infer
