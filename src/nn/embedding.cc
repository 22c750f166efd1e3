#include "nn/embedding.h"

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::Shape;
using tensor::Tensor;

Embedding::Embedding(const EmbeddingOptions& options, const dist::Group& group)
    : table_{.name = options.name + ".weight",
             .shape = Shape{options.vocab, options.hidden},
             .init_std = options.init_std,
             .gathered = true,
             .multiplied = options.tied},
      positions_{.name = options.name + ".positions",
                 .shape = Shape{options.positions, options.hidden},
                 .init_std = options.init_std,
                 .gathered = true},
      has_positions_(options.positions > 0),
      group_(group) {}

void Embedding::visit(std::vector<Parameter*>& parameters) {
  parameters.push_back(&table_);
  if (has_positions_) parameters.push_back(&positions_);
}

void Embedding::forward(const Pass& pass, Tensor x) const {
  kernels::gather_rows(pass.ctx, pass.weights.acquire_plain(table_), pass.rows.id, false, x);
  pass.weights.release(table_);
  group_.all_reduce(pass.ctx, x).wait();
  if (!has_positions_) return;
  kernels::gather_rows(pass.ctx, pass.weights.acquire_plain(positions_), pass.rows.position, true,
                       x);
  pass.weights.release(positions_);
}

void Embedding::backward_weight(const Pass& pass, const Tensor& dx) const {
  if (pass.gradients == nullptr) return;
  kernels::scatter_rows(pass.ctx, dx, pass.rows.id, pass.gradients->gradient(table_));
  if (has_positions_)
    kernels::scatter_rows(pass.ctx, dx, pass.rows.position, pass.gradients->gradient(positions_));
}

}  // namespace boreal::nn
