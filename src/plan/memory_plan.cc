#include "plan/memory_plan.h"

#include <algorithm>

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
  return {{"weights", weights_bytes},
          {"packed weights", packed_bytes},
          {"masters", masters_bytes},
          {"moments", moments_bytes},
          {"gradients", gradients_bytes},
          {"activations", activations_bytes},
          {"workspace", workspace_bytes},
          {"data", data_bytes},
          {"communication", communication_bytes}};
}

namespace {
// The five arrays of tokens::Batch, the seven that Replica makes of a micro-batch, and the spans of
// its documents if every token is one.
std::int64_t data_bytes(const StepShape& shape) {
  const std::int64_t batch = std::max(shape.batch_rows, shape.rows) * shape.sequence;
  const auto span = static_cast<std::int64_t>(sizeof(kernels::AttentionSpan));
  return batch * 5 * 4 + shape.rows * shape.sequence * (7 * 4 + span);
}
}  // namespace

MemoryPlan plan_training(const model::Decoder& model, const StepShape& shape,
                         const parallel::DataGroups& groups) {
  const device::Context ctx = device::meta_context(shape.threads);
  parallel::ShardedState state(model.parameters(), groups,
                               {.meta = true, .bucket_elements = shape.bucket_elements});
  parallel::WeightStore weights(model.parameters(), model.config().dtype, true, true, &state);
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
  model::TrainBooks books = model.make_books(shape.recompute);
  model.train(ctx, arena, weights, &state, rows, targets, books);

  MemoryPlan plan;
  plan.weights_bytes = weights.plain_bytes() + model.constant_bytes();
  plan.packed_bytes = weights.packed_bytes();
  plan.masters_bytes = state.layout().slice_elements() * 4;
  const std::int64_t moments = state.layout().slice_elements() * 8;
  (shape.moments_in_file ? plan.file_bytes : plan.moments_bytes) = moments;
  plan.gradients_bytes = state.layout().elements() * 4;
  plan.activations_bytes = arena.tape_at_peak_bytes();
  plan.workspace_bytes = arena.peak_bytes() - arena.tape_at_peak_bytes();
  plan.data_bytes = data_bytes(shape);
  plan.communication_bytes =
      parallel::WeightStore::staging_bytes(state, model.config().dtype) + state.sums_bytes();
  return plan;
}

}  // namespace boreal::plan
