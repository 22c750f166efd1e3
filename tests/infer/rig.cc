#include "tests/infer/rig.h"

#include "base/philox.h"
#include "model/family.h"
#include "parallel/sharded_state.h"

namespace boreal::infer {

namespace {

// Odd sizes, so that no loop ends where a vector register does.
spec::ModelSpec tiny(const std::string& family, DType dtype) {
  spec::ModelSpec spec;
  spec.family = family;
  spec.hidden = 48;
  spec.layers = 2;
  spec.heads = 4;
  spec.kv_heads = family == "llama" ? 2 : 4;
  spec.ffn = 90;
  spec.vocab = 101;
  spec.context = 256;
  spec.dtype = std::string(name_of(dtype));
  spec.init_std = 0.2;  // large enough for logits that differ
  return spec;
}

}  // namespace

Rig::Rig(const std::string& family, DType dtype, std::int64_t threads, kernels::WeightFormat format)
    : pool_(std::make_unique<device::Pool>(threads)),
      ctx_(device::cpu_context(*pool_)),
      model_(std::make_unique<model::Decoder>(model::config_of(tiny(family, dtype), 0).value())),
      weights_(std::make_unique<Weights>(model_->parameters(), dtype,
                                         [format](const nn::Parameter&) { return format; })) {
  parallel::ShardedState state(model_->parameters(), false);
  state.initialise(ctx_, 5);
  for (const nn::Parameter* p : model_->parameters()) weights_->publish(ctx_, *p, state.master(*p));
  model_->prepare(ctx_);
}

Engine Rig::engine(const EngineLimits& limits) {
  return {*model_, *weights_, ctx_, limits};
}

std::vector<std::int32_t> Rig::ids(const std::string& name, std::int64_t count) const {
  const Rng rng(3, name);
  std::vector<std::int32_t> all;
  for (std::int64_t i = 0; i < count; ++i)
    all.push_back(static_cast<std::int32_t>(rng.bits(static_cast<std::uint64_t>(i)) %
                                            static_cast<std::uint64_t>(config().vocab)));
  return all;
}

}  // namespace boreal::infer
