#include "nn/block.h"

#include "kernels/family_ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Tensor;

namespace {

// The two sublayers behind one interface.
struct AttentionOf {
  const Attention& layer;
  std::int64_t block;
  const Tensor* cos_sin;
  void forward(const Pass& pass, const Tensor& x, const Tensor* residual, const Tensor& y) const {
    layer.forward(pass, block, cos_sin, x, residual, y);
  }
  void backward_input(const Pass& pass, const Tensor& dy, const Tensor& dx) const {
    layer.backward_input(pass, cos_sin, dy, dx);
  }
};
struct MlpOf {
  const Mlp& layer;
  void forward(const Pass& pass, const Tensor& x, const Tensor* residual, const Tensor& y) const {
    layer.forward(pass, x, residual, y);
  }
  void backward_input(const Pass& pass, const Tensor& dy, const Tensor& dx) const {
    layer.backward_input(pass, dy, dx);
  }
};

}  // namespace

Block::Norms Block::norms(const BlockOptions& o, const std::string& name, const dist::Group& group,
                          LayerIds& ids) {
  const auto make = [&](const char* suffix) {
    return Norm(o.name + name + suffix, o.norm, o.attention.hidden, o.norm_eps, group,
                o.sequence_parallel, ids, o.norm_plus_one);
  };
  Norms all;
  if (o.placement != NormPlacement::after) all.before = make("");
  if (o.placement == NormPlacement::after || o.placement == NormPlacement::around)
    all.after = make("_after");
  return all;
}

Block::Block(const BlockOptions& options, std::int64_t index, const dist::Group& group,
             LayerIds& ids)
    : index_(index),
      parallel_(options.placement == NormPlacement::parallel),
      norms1_(norms(options, ".norm1", group, ids)),
      attention_(options.attention, group, ids),
      norms2_(norms(options, ".norm2", group, ids)),
      mlp_(options.mlp, group, ids) {}

void Block::visit(std::vector<Parameter*>& parameters) {
  const auto visit_norm = [&](std::optional<Norm>& norm) {
    if (norm) norm->visit(parameters);
  };
  visit_norm(norms1_.before);
  attention_.visit(parameters);
  visit_norm(norms1_.after);
  visit_norm(norms2_.before);
  mlp_.visit(parameters);
  visit_norm(norms2_.after);
}

template <class Layer>
void Block::forward_of(const Pass& pass, const Norms& norms, const Layer& layer, const Tensor& x,
                       const Tensor& residual, Tensor y) const {
  Tensor in = x;
  if (norms.before) {
    in = pass.keep_cheap(x.dtype, x.shape);
    norms.before->forward(pass, x, in);
  }
  if (!norms.after) return layer.forward(pass, in, &residual, y);
  const Tensor raw = pass.keep(x.dtype, x.shape);
  layer.forward(pass, in, nullptr, raw);
  norms.after->forward(pass, raw, y);
  kernels::add(pass.ctx, y, residual, y);
}

void Block::forward(const Pass& pass, const Tensor* cos_sin, const Tensor& x, Tensor y) const {
  const auto span = device::Span::layer(pass.ctx, "block forward", index_);
  const ScratchScope scope(pass.arena);
  const Tensor middle = pass.keep(x.dtype, x.shape);
  forward_of(pass, norms1_, AttentionOf{attention_, index_, cos_sin}, x, x, middle);
  forward_of(pass, norms2_, MlpOf{mlp_}, parallel_ ? x : middle, middle, y);
}

template <class Layer>
void Block::backward_of(const Pass& pass, const Norms& norms, const Layer& layer, const Tensor& dy,
                        const Tensor& d_residual, Tensor dx) const {
  Tensor d_raw = dy;
  if (norms.after) {
    d_raw = pass.scratch(dy.dtype, dy.shape);
    norms.after->backward(pass, dy, nullptr, d_raw);
  }
  const Tensor d_in = pass.scratch(dy.dtype, dy.shape);
  layer.backward_input(pass, d_raw, d_in);
  if (norms.before)
    norms.before->backward(pass, d_in, &d_residual, dx);
  else
    kernels::add(pass.ctx, d_in, d_residual, dx);
}

void Block::backward(const Pass& pass, const Tensor* cos_sin, const Tensor& dy, Tensor dx) const {
  const auto span = device::Span::layer(pass.ctx, "block backward", index_);
  const ScratchScope scope(pass.arena);
  const Tensor d_middle = pass.scratch(dy.dtype, dy.shape);
  backward_of(pass, norms2_, MlpOf{mlp_}, dy, dy, d_middle);
  // Parallel: d_middle is what has come to x so far, and attention's output is a part of y.
  backward_of(pass, norms1_, AttentionOf{attention_, index_, cos_sin}, parallel_ ? dy : d_middle,
              d_middle, dx);
  {
    const ScratchScope again(pass.arena);
    if (pass.drop_cheap && norms2_.before) mlp_.restore_input(pass, norms2_.before->again(pass));
    mlp_.backward_weight(pass);
  }
  {
    const ScratchScope again(pass.arena);
    if (pass.drop_cheap && norms1_.before)
      attention_.restore_input(pass, norms1_.before->again(pass));
    attention_.backward_weight(pass);
  }
}

}  // namespace boreal::nn
