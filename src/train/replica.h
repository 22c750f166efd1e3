// Replica: a model with its weights, gradients and optimizer state on one device, and the
// arithmetic of a step. It knows no files, no clock and no schedule: Trainer drives it.
//
// A step is: accumulate() for each micro-batch, gradient_norm(), update(). Memory is planned on
// construction; a step makes only small things that name it. The ranks of the mesh call the same
// methods in the same order. Thread rule: the thread that owns the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dist/mesh.h"
#include "kernels/ops.h"
#include "model/decoder.h"
#include "parallel/weight_store.h"
#include "plan/memory_plan.h"
#include "spec/run_spec.h"
#include "tokens/token_stream.h"

namespace boreal::train {

class Replica {
 public:
  // mesh outlives the replica. moments: the memory of a file (FileMemory) of plan().file_bytes
  // where shape.moments_in_file, which outlives the replica too.
  Replica(const model::DecoderConfig& config, const plan::StepShape& shape, device::Pool& pool,
          const dist::DeviceMesh& mesh, std::byte* moments = nullptr);
  // This rank alone.
  Replica(const model::DecoderConfig& config, const plan::StepShape& shape, device::Pool& pool);

  const model::Decoder& model() const { return model_; }
  parallel::ShardedState& state() { return state_; }
  parallel::WeightStore& weights() { return weights_; }
  const plan::MemoryPlan& plan() const { return plan_; }
  const device::Context& ctx() const { return ctx_; }
  // What the device does is recorded there from now on; null: no more.
  void record_in(device::Profile* profile);
  const dist::DeviceMesh& mesh() const { return mesh_; }
  // Between layers tensor-parallel ranks have their rows only; true also where there are none.
  bool cuts_rows() const { return shape_.sequence_parallel || mesh_.tp().size() == 1; }

  // Makes the computing forms of the weights from the masters. After the masters changed by other
  // means than update(). On all ranks.
  void publish() { weights_.publish(ctx_, state_); }

  // What forward and backward minimise beside the loss (spec optim.z_loss).
  void set_z_loss(double weight) { targets_.z_loss = weight; }

  // Forward and backward; adds to the gradients. Each row's loss counts weight * scale (scale = 1 /
  // sum of all weights of the step, of all ranks). last: of the step; the gradients are then summed
  // over the ranks while backward goes on. Returns this rank's sum of loss * weight * scale.
  // Requires batch.rows and sequence within the planned shape.
  double accumulate(const tokens::Batch& batch, double scale, bool last = true) {
    return accumulate(batch, 0, batch.rows, scale, last);
  }
  // The same with rows [begin, begin + rows) of the batch.
  double accumulate(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows, double scale,
                    bool last);
  // Forward only. Sum of loss * weight of this rank's batch.
  double evaluate(const tokens::Batch& batch);

  // Square root of the sum of squares of all gradients, of all ranks. Waits for their sums.
  double gradient_norm();
  // The first parameter whose gradient (or else value) is not finite on some rank; "" if all are.
  std::string first_non_finite() const;

  // One AdamW step on this rank's slices (decay on matrices only), zeroes the gradients, starts to
  // publish the weights: a forward, or settle(), waits for what it needs.
  void update(const spec::OptimSpec& optim, double lr, double grad_scale, std::int64_t step);
  void zero_gradients();
  // All weights are published when it returns.
  void settle() { weights_.finish_publish(); }

 private:
  struct Feed;
  double run(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows, double scale,
             nn::GradientSink* gradients);
  void load(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows, double scale);

  device::Context ctx_;
  const dist::DeviceMesh& mesh_;
  model::Decoder model_;
  plan::StepShape shape_;
  plan::MemoryPlan plan_;
  parallel::ShardedState state_;
  parallel::WeightStore weights_;
  tensor::Arena arena_;
  model::TrainBooks books_;
  tensor::Block feed_;
  nn::Rows rows_;
  nn::Targets targets_;
  tensor::Tensor weight_;  // fp32, of the targets
};

// Documents of rows [begin, begin + rows) of a batch as attention spans, counted from row `begin`:
// a span ends where doc_begin changes.
void spans_of(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows,
              std::vector<kernels::AttentionSpan>& spans);

}  // namespace boreal::train
