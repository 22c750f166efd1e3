#include "nn/mlp.h"

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kUp };

// Rows of the first matrix: all of gate and then all of up, each cut on its own.
std::vector<Segment> up_segments(const MlpOptions& o, const dist::Group& group) {
  std::vector<Segment> rows = {even_part(o.ffn, group)};
  if (kernels::gated(o.kind)) rows.push_back(even_part(o.ffn, group, o.ffn));
  return rows;
}
}  // namespace

Mlp::Mlp(const MlpOptions& options, const dist::Group& group, LayerIds& ids)
    : kind_(options.kind),
      ffn_(even_part(options.ffn, group).count),
      up_({.name = options.name + (kernels::gated(options.kind) ? ".gate_up" : ".up"),
           .in_features = options.hidden,
           .out_features = kernels::gated(options.kind) ? 2 * options.ffn : options.ffn,
           .bias = options.bias,
           .init_std = options.init_std,
           .cut = Cut::outputs,
           .segments = up_segments(options, group)},
          group, ids),
      down_({.name = options.name + ".down",
             .in_features = options.ffn,
             .out_features = options.hidden,
             .bias = options.bias,
             .init_std = options.out_init_std,
             .cut = Cut::inputs,
             .segments = {even_part(options.ffn, group)}},
            group, ids),
      id_(ids.next()) {}

void Mlp::visit(std::vector<Parameter*>& parameters) {
  up_.visit(parameters);
  down_.visit(parameters);
}

void Mlp::forward(const Pass& pass, const Tensor& x, const Tensor* residual, Tensor y) const {
  const auto span = device::Span::layer(pass.ctx, "mlp forward");
  const Tensor up = pass.keep(x.dtype, Shape{pass.rows.count, up_width()});
  // Not kept: the pass of backward over `up` makes it again for one more store.
  const Tensor activated = pass.scratch(x.dtype, Shape{pass.rows.count, ffn_});
  up_.forward(pass, x, up);
  kernels::activation(pass.ctx, kind_, up, activated);
  if (pass.tape != nullptr) pass.tape->put(id_, kUp, up);
  down_.forward(pass, activated, y, residual);
}

void Mlp::backward_input(const Pass& pass, const Tensor& dy, Tensor dx) const {
  const auto span = device::Span::layer(pass.ctx, "mlp backward");
  const Tensor& up = pass.tape->get(id_, kUp);
  // Freed by the caller's scope, after backward_weight.
  const Tensor d_up = pass.scratch(dy.dtype, up.shape);
  Tensor activated = pass.scratch(dy.dtype, Shape{pass.rows.count, ffn_});
  const Tensor whole_dy = down_.whole_gradient(pass, dy);
  {
    const ScratchScope scope(pass.arena);
    const Tensor d_activated = pass.scratch(dy.dtype, Shape{pass.rows.count, ffn_});
    down_.backward_input(pass, whole_dy, d_activated);
    kernels::activation_backward(pass.ctx, kind_, d_activated, up, d_up, &activated);
  }
  down_.restore_input(pass, activated);
  up_.backward_input(pass, d_up, dx);
}

void Mlp::restore_input(const Pass& pass, const Tensor& x) const {
  up_.restore_input(pass, x);
}

void Mlp::backward_weight(const Pass& pass) const {
  const auto span = device::Span::layer(pass.ctx, "mlp weights");
  down_.backward_weight(pass);
  up_.backward_weight(pass);
}

}  // namespace boreal::nn
