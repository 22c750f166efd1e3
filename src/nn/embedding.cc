#include "nn/embedding.h"

#include "kernels/family_ops.h"
#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

Embedding::Embedding(const EmbeddingOptions& options, const dist::Group& group)
    : table_{.name = options.name + ".weight",
             .shape = Shape{options.vocab, options.hidden},
             .init_std = options.init_std,
             .gathered = true,
             .multiplied = options.tied,
             .segments = {even_part(options.vocab, group)}},
      positions_{.name = options.name + ".positions",
                 .shape = Shape{options.positions, options.hidden},
                 .init_std = options.init_std,
                 .gathered = true},
      has_positions_(options.positions > 0),
      scale_(options.scale),
      group_(group) {
  positions_.segments = {
      {.begin = 0, .count = options.positions, .first_holder = group.rank() == 0}};
}

void Embedding::visit(std::vector<Parameter*>& parameters) {
  parameters.push_back(&table_);
  if (has_positions_) parameters.push_back(&positions_);
}

void Embedding::forward(const Pass& pass, Tensor x) const {
  const auto span = device::Span::layer(pass.ctx, "embedding forward");
  const ScratchScope scope(pass.arena);
  const dist::Sequence sequence(pass.ctx, pass.arena, group_, pass.sequence_parallel);
  const Tensor partial = sequence.partial(x, pass.rows.count);
  kernels::gather_rows(pass.ctx, pass.weights.acquire_plain(table_), pass.rows.id, false, partial,
                       table_.segments[0].begin);
  pass.weights.release(table_);
  sequence.sum(partial, x);
  if (scale_ != 1) kernels::affine(pass.ctx, x, scale_, 0, x);
  if (!has_positions_) return;
  kernels::gather_rows(pass.ctx, pass.weights.acquire_plain(positions_),
                       sequence.own(pass.rows.position), true, x);
  pass.weights.release(positions_);
}

void Embedding::backward_weight(const Pass& pass, const Tensor& dx) const {
  const auto span = device::Span::layer(pass.ctx, "embedding backward");
  if (pass.gradients == nullptr) return;
  const ScratchScope scope(pass.arena);
  const dist::Sequence sequence(pass.ctx, pass.arena, group_, pass.sequence_parallel);
  const Tensor whole = sequence.gather(dx, pass.rows.count);
  Tensor scaled = whole;
  if (scale_ != 1) {
    scaled = pass.scratch(dx.dtype, whole.shape);
    kernels::affine(pass.ctx, whole, scale_, 0, scaled);
  }
  kernels::scatter_rows(pass.ctx, scaled, pass.rows.id, pass.gradients->gradient(table_),
                        table_.segments[0].begin);
  if (has_positions_)
    kernels::scatter_rows(pass.ctx, whole, pass.rows.position,
                          pass.gradients->gradient(positions_));
}

}  // namespace boreal::nn
