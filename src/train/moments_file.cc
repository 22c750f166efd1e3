#include "train/moments_file.h"

#include <utility>

namespace boreal::train {

Status map_moments(Env& env, const spec::RunSpec& spec, const model::DecoderConfig& config,
                   const plan::StepShape& shape, const dist::DeviceMesh& mesh,
                   std::unique_ptr<FileMemory>& moments) {
  if (!shape.moments_in_file) return Done{};
  const model::Decoder model(config, mesh.tp(), shape.sequence_parallel);
  const std::int64_t bytes =
      parallel::ShardedState(model.parameters(), {mesh.dp_shard(), mesh.dp_replicate()},
                             {.meta = true})
          .moments_bytes();
  auto mapped = env.map_memory(spec.train.optimizer_state, static_cast<std::uint64_t>(bytes));
  if (!mapped.ok()) return std::move(mapped).error().within("train.optimizer_state");
  moments = std::move(mapped).value();
  return Done{};
}

}  // namespace boreal::train
