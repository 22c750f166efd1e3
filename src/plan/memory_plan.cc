#include "plan/memory_plan.h"

#include "parallel/weight_store.h"

namespace boreal::plan {

using tensor::Shape;
using tensor::Tensor;

std::int64_t MemoryPlan::total_bytes() const {
  std::int64_t sum = 0;
  for (const auto& [name, bytes] : classes()) sum += bytes;
  return sum;
}

std::vector<std::pair<std::string, std::int64_t>> MemoryPlan::classes() const {
  return {
      {"weights", weights_bytes},     {"packed weights", packed_bytes}, {"staging", staging_bytes},
      {"masters", masters_bytes},     {"gradients", gradients_bytes},   {"moments", moments_bytes},
      {"constants", constants_bytes}, {"activations", arena_bytes},     {"batch", batch_bytes}};
}

MemoryPlan plan_training(const model::Decoder& model, const StepShape& shape,
                         const parallel::DataGroups& groups) {
  const device::Context ctx = device::meta_context(shape.threads);
  parallel::ShardedState state(model.parameters(), groups,
                               {.meta = true, .bucket_elements = shape.bucket_elements});
  parallel::WeightStore weights(model.parameters(), model.config().dtype, true, true);
  tensor::Arena arena;
  const std::int64_t tokens = shape.rows * shape.sequence;
  nn::Rows rows{.count = tokens,
                .id = Tensor(nullptr, DType::i32, Shape{tokens}),
                .position = Tensor(nullptr, DType::i32, Shape{tokens}),
                .spans = {},
                .keys_max = shape.sequence,
                .cache_row = {}};
  const Tensor ids(nullptr, DType::i32, Shape{tokens});
  const Tensor floats(nullptr, DType::f32, Shape{tokens});
  const nn::Targets targets{.row = ids, .id = ids, .seed = floats, .loss = floats, .count = tokens};
  model.train(ctx, arena, weights, &state, rows, targets, shape.recompute);

  MemoryPlan plan;
  plan.weights_bytes = weights.plain_bytes();
  plan.packed_bytes = weights.packed_bytes();
  plan.staging_bytes =
      parallel::WeightStore::staging_bytes(state, model.config().dtype) + state.sums_bytes();
  plan.masters_bytes = state.layout().slice_elements() * 4;
  plan.gradients_bytes = state.layout().elements() * 4;
  plan.moments_bytes = state.layout().slice_elements() * 8;
  plan.constants_bytes =
      model.config().rotary ? model.config().context * model.config().head_dim() * 4 : 0;
  plan.arena_bytes = arena.peak_bytes();
  plan.batch_bytes = tokens * 7 * 4;
  return plan;
}

}  // namespace boreal::plan
