#include "nn/block.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Tensor;

Block::Block(const BlockOptions& options, std::int64_t index, const dist::Group& group,
             LayerIds& ids)
    : index_(index),
      norm1_(options.name + ".norm1", options.norm, options.attention.hidden, options.norm_eps,
             group, options.sequence_parallel, ids),
      attention_(options.attention, group, ids),
      norm2_(options.name + ".norm2", options.norm, options.attention.hidden, options.norm_eps,
             group, options.sequence_parallel, ids),
      mlp_(options.mlp, group, ids) {}

void Block::visit(std::vector<Parameter*>& parameters) {
  norm1_.visit(parameters);
  attention_.visit(parameters);
  norm2_.visit(parameters);
  mlp_.visit(parameters);
}

void Block::forward(const Pass& pass, const Tensor* cos_sin, const Tensor& x, Tensor y) const {
  const ScratchScope scope(pass.arena);
  const Tensor normed1 = pass.keep_cheap(x.dtype, x.shape);
  norm1_.forward(pass, x, normed1);
  const Tensor middle = pass.keep(x.dtype, x.shape);
  attention_.forward(pass, index_, cos_sin, normed1, x, middle);
  const Tensor normed2 = pass.keep_cheap(x.dtype, x.shape);
  norm2_.forward(pass, middle, normed2);
  mlp_.forward(pass, normed2, middle, y);
}

void Block::backward(const Pass& pass, const Tensor* cos_sin, const Tensor& dy, Tensor dx) const {
  const ScratchScope scope(pass.arena);
  const Tensor d_normed2 = pass.scratch(dy.dtype, dy.shape);
  mlp_.backward_input(pass, dy, d_normed2);
  const Tensor d_middle = pass.scratch(dy.dtype, dy.shape);
  norm2_.backward(pass, d_normed2, &dy, d_middle);
  const Tensor d_normed1 = pass.scratch(dy.dtype, dy.shape);
  attention_.backward_input(pass, cos_sin, d_middle, d_normed1);
  norm1_.backward(pass, d_normed1, &d_middle, dx);

  {
    const ScratchScope again(pass.arena);
    if (pass.drop_cheap) mlp_.restore_input(pass, norm2_.again(pass));
    mlp_.backward_weight(pass);
  }
  {
    const ScratchScope again(pass.arena);
    if (pass.drop_cheap) attention_.restore_input(pass, norm1_.again(pass));
    attention_.backward_weight(pass);
  }
}

}  // namespace boreal::nn
