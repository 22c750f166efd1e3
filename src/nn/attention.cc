#include "nn/attention.h"

#include <algorithm>

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kQkv, kOutput, kLse };

// Rows of the fused matrix, whole: query heads, key heads, value heads.
std::vector<Segment> qkv_segments(const AttentionOptions& o, const dist::Group& group) {
  CHECK_EQ(o.heads % group.size(), 0);
  CHECK(o.kv_heads % group.size() == 0 || group.size() % o.kv_heads == 0,
        "{} key heads on {} ranks", o.kv_heads, group.size());
  const std::int64_t dim = o.head_dim;
  const Segment q = even_part(o.heads, group);
  std::vector<Segment> rows = {{.begin = q.begin * dim, .count = q.count * dim}};
  const std::int64_t held = Attention::local_kv_heads(o.kv_heads, group);
  // Ranks that share a key head each know its gradient from their own query heads only.
  const std::int64_t sharers = group.size() * held / o.kv_heads;
  for (const std::int64_t begin : {o.heads, o.heads + o.kv_heads}) {
    Segment kv{.begin = (begin + group.rank() / sharers * held) * dim,
               .count = held * dim,
               .first_holder = group.rank() % sharers == 0};
    if (sharers > 1)
      kv.sum_over = &group, kv.sum_begin = begin * dim, kv.sum_count = o.kv_heads * dim;
    rows.push_back(kv);
  }
  return rows;
}
}  // namespace

std::int64_t Attention::local_kv_heads(std::int64_t kv_heads, const dist::Group& group) {
  return std::max<std::int64_t>(kv_heads / group.size(), 1);
}

Attention::Attention(const AttentionOptions& options, const dist::Group& group, LayerIds& ids)
    : heads_(options.heads / group.size()),
      kv_heads_(local_kv_heads(options.kv_heads, group)),
      head_dim_(options.head_dim),
      qkv_({.name = options.name + ".qkv",
            .in_features = options.hidden,
            .out_features = (options.heads + 2 * options.kv_heads) * options.head_dim,
            .bias = options.bias,
            .init_std = options.init_std,
            .cut = Cut::outputs,
            .segments = qkv_segments(options, group)},
           group, ids),
      out_({.name = options.name + ".out",
            .in_features = options.heads * options.head_dim,
            .out_features = options.hidden,
            .bias = options.bias,
            .init_std = options.out_init_std,
            .cut = Cut::inputs,
            .segments = {even_part(options.heads * options.head_dim, group)}},
           group, ids),
      id_(ids.next()) {}

void Attention::visit(std::vector<Parameter*>& parameters) {
  qkv_.visit(parameters);
  out_.visit(parameters);
}

kernels::AttentionShape Attention::shape(const Pass& pass) const {
  return {heads_, kv_heads_, head_dim_, pass.rows.keys_max};
}
Tensor Attention::queries(const Tensor& qkv) const {
  return qkv.column_slice(0, heads_ * head_dim_);
}
Tensor Attention::keys(const Tensor& qkv) const {
  return qkv.column_slice(heads_ * head_dim_, (heads_ + kv_heads_) * head_dim_);
}
Tensor Attention::values(const Tensor& qkv) const {
  return qkv.column_slice((heads_ + kv_heads_) * head_dim_, qkv.columns());
}

void Attention::forward(const Pass& pass, std::int64_t block, const Tensor* cos_sin,
                        const Tensor& x, const Tensor& residual, Tensor y) const {
  const std::int64_t rows = pass.rows.count;
  const Tensor qkv = pass.keep(x.dtype, Shape{rows, (heads_ + 2 * kv_heads_) * head_dim_});
  const Tensor o = pass.keep(x.dtype, Shape{rows, heads_ * head_dim_});
  qkv_.forward(pass, x, qkv);
  Tensor k = keys(qkv);
  Tensor v = values(qkv);
  kernels::AttentionShape shape = this->shape(pass);
  shape.cos_sin = cos_sin;
  if (pass.state != nullptr) {
    if (cos_sin != nullptr)
      kernels::rope(pass.ctx, k, pass.rows.position, *cos_sin, kv_heads_,
                    kernels::Rotation::forward);
    shape.keys_rotated = true;
    const LayerState& state = (*pass.state)[static_cast<std::size_t>(block)];
    kernels::copy_rows(pass.ctx, k, pass.rows.cache_row, state.k);
    kernels::copy_rows(pass.ctx, v, pass.rows.cache_row, state.v);
    k = state.k;
    v = state.v;
  }
  Tensor lse;
  if (pass.tape != nullptr) {
    lse = pass.keep(DType::f32, Shape{heads_, rows});
    pass.tape->put(id_, kQkv, qkv);
    pass.tape->put(id_, kOutput, o);
    pass.tape->put(id_, kLse, lse);
  }
  {
    const ScratchScope scope(pass.arena);
    const Tensor scratch = pass.scratch(
        DType::f32, Shape{kernels::attention_forward_scratch(pass.ctx, shape, x.dtype)});
    kernels::attention_forward(pass.ctx, shape, pass.rows.spans, queries(qkv), k, v, o,
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
  const Tensor whole_dy = out_.whole_gradient(pass, dy);
  {
    const ScratchScope scope(pass.arena);
    const Tensor d_o = pass.scratch(dy.dtype, o.shape);
    out_.backward_input(pass, whole_dy, d_o);
    kernels::AttentionShape shape = this->shape(pass);
    shape.cos_sin = cos_sin;
    const Tensor scratch = pass.scratch(
        DType::f32, Shape{kernels::attention_backward_scratch(pass.ctx, shape, dy.dtype)});
    kernels::attention_backward(pass.ctx, shape, pass.rows.spans, queries(qkv), keys(qkv),
                                values(qkv), o, pass.tape->get(id_, kLse), d_o, queries(d_qkv),
                                keys(d_qkv), values(d_qkv), scratch);
  }
  qkv_.backward_input(pass, d_qkv, dx);
}

void Attention::restore_input(const Pass& pass, const Tensor& x) const {
  qkv_.restore_input(pass, x);
}

void Attention::backward_weight(const Pass& pass) const {
  out_.backward_weight(pass);
  qkv_.backward_weight(pass);
}

}  // namespace boreal::nn
