#include "nn/attention.h"

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kQkv, kOutput, kLse };

std::int64_t qkv_width(const AttentionOptions& o) {
  return (o.heads + 2 * o.kv_heads) * o.head_dim;
}
}  // namespace

Attention::Attention(const AttentionOptions& options, const dist::Group& group, LayerIds& ids)
    : options_(options),
      qkv_({.name = options.name + ".qkv",
            .in_features = options.hidden,
            .out_features = qkv_width(options),
            .bias = options.bias,
            .init_std = options.init_std},
           group, ids),
      out_({.name = options.name + ".out",
            .in_features = options.heads * options.head_dim,
            .out_features = options.hidden,
            .bias = options.bias,
            .init_std = options.out_init_std},
           group, ids),
      id_(ids.next()) {}

void Attention::visit(std::vector<Parameter*>& parameters) {
  qkv_.visit(parameters);
  out_.visit(parameters);
}

kernels::AttentionShape Attention::shape(const Pass& pass) const {
  return {options_.heads, options_.kv_heads, options_.head_dim, pass.rows.keys_max};
}
Tensor Attention::queries(const Tensor& qkv) const {
  return qkv.column_slice(0, options_.heads * options_.head_dim);
}
Tensor Attention::keys(const Tensor& qkv) const {
  const std::int64_t begin = options_.heads * options_.head_dim;
  return qkv.column_slice(begin, begin + options_.kv_heads * options_.head_dim);
}
Tensor Attention::values(const Tensor& qkv) const {
  return qkv.column_slice((options_.heads + options_.kv_heads) * options_.head_dim, qkv.columns());
}

void Attention::forward(const Pass& pass, std::int64_t block, const Tensor* cos_sin,
                        const Tensor& x, const Tensor& residual, Tensor y) const {
  const std::int64_t rows = x.rows();
  const Tensor qkv = pass.keep(x.dtype, Shape{rows, qkv_width(options_)});
  const Tensor o = pass.keep(x.dtype, Shape{rows, options_.heads * options_.head_dim});
  qkv_.forward(pass, x, qkv);
  if (cos_sin != nullptr) {
    const Tensor rotated =
        qkv.column_slice(0, (options_.heads + options_.kv_heads) * options_.head_dim);
    kernels::rope(pass.ctx, rotated, pass.rows.position, *cos_sin,
                  options_.heads + options_.kv_heads, kernels::Rotation::forward);
  }
  Tensor k = keys(qkv);
  Tensor v = values(qkv);
  if (pass.state != nullptr) {
    const LayerState& state = (*pass.state)[static_cast<std::size_t>(block)];
    kernels::copy_rows(pass.ctx, k, pass.rows.cache_row, state.k);
    kernels::copy_rows(pass.ctx, v, pass.rows.cache_row, state.v);
    k = state.k;
    v = state.v;
  }
  Tensor lse;
  if (pass.tape != nullptr) {
    lse = pass.keep(DType::f32, Shape{options_.heads, rows});
    pass.tape->put(id_, kQkv, qkv);
    pass.tape->put(id_, kOutput, o);
    pass.tape->put(id_, kLse, lse);
  }
  {
    const ScratchScope scope(pass.arena);
    const Tensor scratch =
        pass.scratch(DType::f32, Shape{kernels::attention_forward_scratch(pass.ctx, shape(pass))});
    kernels::attention_forward(pass.ctx, shape(pass), pass.rows.spans, queries(qkv), k, v, o,
                               pass.tape != nullptr ? &lse : nullptr, scratch);
  }
  out_.forward(pass, o, y, &residual);
}

void Attention::backward_input(const Pass& pass, const Tensor* cos_sin, const Tensor& dy,
                               Tensor dx) const {
  const Tensor& qkv = pass.tape->get(id_, kQkv);
  const Tensor& o = pass.tape->get(id_, kOutput);
  // d_qkv outlives this call: backward_weight of qkv needs it. The caller's scope frees it.
  const Tensor d_qkv = pass.scratch(dy.dtype, qkv.shape);
  {
    const ScratchScope scope(pass.arena);
    const Tensor d_o = pass.scratch(dy.dtype, o.shape);
    out_.backward_input(pass, dy, d_o);
    const Tensor scratch =
        pass.scratch(DType::f32, Shape{kernels::attention_backward_scratch(pass.ctx, shape(pass))});
    kernels::attention_backward(pass.ctx, shape(pass), pass.rows.spans, queries(qkv), keys(qkv),
                                values(qkv), o, pass.tape->get(id_, kLse), d_o, queries(d_qkv),
                                keys(d_qkv), values(d_qkv), scratch);
  }
  if (cos_sin != nullptr) {
    const Tensor rotated =
        d_qkv.column_slice(0, (options_.heads + options_.kv_heads) * options_.head_dim);
    kernels::rope(pass.ctx, rotated, pass.rows.position, *cos_sin,
                  options_.heads + options_.kv_heads, kernels::Rotation::backward);
  }
  qkv_.backward_input(pass, d_qkv, dx);
}

void Attention::backward_weight(const Pass& pass) const {
  out_.backward_weight(pass);
  qkv_.backward_weight(pass);
}

}  // namespace boreal::nn
