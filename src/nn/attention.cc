#include "nn/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kQkv, kOutput, kLse, kNormed };

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

std::optional<HeadNorm> head_norm(const AttentionOptions& o, const std::string& name,
                                  std::int64_t all_heads, std::int64_t heads, Segment held,
                                  const dist::Group& group, LayerIds& ids) {
  if (o.qk_norm == HeadNormKind::none) return std::nullopt;
  return HeadNorm({.name = o.name + name,
                   .kind = o.qk_norm,
                   .heads = heads,
                   .head_dim = o.head_dim,
                   .eps = o.norm_eps,
                   .all_heads = all_heads,
                   .held = held},
                  group, ids);
}

// Segment `which` of the fused rows, counted from the begin of its own kind.
Segment norm_segment(const AttentionOptions& o, const dist::Group& group, std::size_t which) {
  Segment held = qkv_segments(o, group)[which];
  const std::int64_t begin = which == 0 ? 0 : o.heads * o.head_dim;
  held.begin -= begin;
  held.sum_begin = 0;
  return held;
}

std::vector<float> local_slopes(const AttentionOptions& o, const dist::Group& group) {
  if (!o.alibi) return {};
  const std::vector<float> all = alibi_slopes(o.heads);
  const Segment own = even_part(o.heads, group);
  return {all.begin() + own.begin, all.begin() + own.begin + own.count};
}
}  // namespace

std::vector<float> alibi_slopes(std::int64_t heads) {
  std::int64_t power = 1;
  while (2 * power <= heads) power *= 2;
  const auto slope = [](std::int64_t n, std::int64_t h) {
    return static_cast<float>(std::exp2(-8 * static_cast<double>(h + 1) / static_cast<double>(n)));
  };
  std::vector<float> all;
  for (std::int64_t h = 0; h < power; ++h) all.push_back(slope(power, h));
  for (std::int64_t h = 0; power + h < heads; ++h) all.push_back(slope(2 * power, 2 * h));
  return all;
}

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
            .bias = options.out_bias,
            .init_std = options.out_init_std,
            .cut = Cut::inputs,
            .segments = {even_part(options.heads * options.head_dim, group)}},
           group, ids),
      scale_(options.scale),
      window_(options.window),
      soft_cap_(options.soft_cap),
      slopes_(local_slopes(options, group)),
      q_norm_(head_norm(options, ".q_norm", options.heads, heads_, norm_segment(options, group, 0),
                        group, ids)),
      k_norm_(head_norm(options, ".k_norm", options.kv_heads, kv_heads_,
                        norm_segment(options, group, 1), group, ids)),
      id_(ids.next()) {}

void Attention::visit(std::vector<Parameter*>& parameters) {
  qkv_.visit(parameters);
  if (q_norm_) q_norm_->visit(parameters), k_norm_->visit(parameters);
  out_.visit(parameters);
}

kernels::AttentionShape Attention::shape(const Pass& pass) const {
  return {.heads = heads_,
          .kv_heads = kv_heads_,
          .head_dim = head_dim_,
          .keys_max = pass.rows.keys_max,
          .scale = scale_,
          .window = window_,
          .soft_cap = soft_cap_,
          .alibi_slopes = slopes_.empty() ? nullptr : slopes_.data()};
}
Tensor Attention::normed(const Pass& pass, const Tensor& qkv) const {
  if (!q_norm_) return qkv;
  const Tensor qk = pass.keep(qkv.dtype, Shape{qkv.rows(), (heads_ + kv_heads_) * head_dim_});
  q_norm_->forward(pass, queries(qkv), queries(qk));
  k_norm_->forward(pass, keys(qkv), keys(qk));
  return qk;
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
                        const Tensor& x, const Tensor* residual, Tensor y) const {
  const auto span = device::Span::layer(pass.ctx, "attention forward", block);
  const std::int64_t rows = pass.rows.count;
  const Tensor qkv = pass.keep(x.dtype, Shape{rows, (heads_ + 2 * kv_heads_) * head_dim_});
  const Tensor o = pass.keep(x.dtype, Shape{rows, heads_ * head_dim_});
  qkv_.forward(pass, x, qkv);
  const Tensor qk = normed(pass, qkv);
  Tensor k = keys(qk);
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
    pass.tape->put(id_, kNormed, qk);
  }
  {
    const ScratchScope scope(pass.arena);
    const Tensor scratch = pass.scratch(
        DType::f32, Shape{kernels::attention_forward_scratch(pass.ctx, shape, x.dtype)});
    kernels::attention_forward(pass.ctx, shape, pass.rows.spans, queries(qk), k, v, o,
                               pass.tape != nullptr ? &lse : nullptr, scratch);
  }
  out_.forward(pass, o, y, residual);
}

void Attention::backward_input(const Pass& pass, const Tensor* cos_sin, const Tensor& dy,
                               Tensor dx) const {
  const auto span = device::Span::layer(pass.ctx, "attention backward");
  const Tensor& qkv = pass.tape->get(id_, kQkv);
  const Tensor& o = pass.tape->get(id_, kOutput);
  const Tensor& qk = pass.tape->get(id_, kNormed);
  // These outlive this call: backward_weight needs them. The caller's scope frees them.
  const Tensor d_qkv = pass.scratch(dy.dtype, qkv.shape);
  const Tensor d_qk = q_norm_ ? pass.scratch(dy.dtype, qk.shape) : d_qkv;
  const Tensor whole_dy = out_.whole_gradient(pass, dy);
  {
    const ScratchScope scope(pass.arena);
    const Tensor d_o = pass.scratch(dy.dtype, o.shape);
    out_.backward_input(pass, whole_dy, d_o);
    kernels::AttentionShape shape = this->shape(pass);
    shape.cos_sin = cos_sin;
    const Tensor scratch = pass.scratch(
        DType::f32, Shape{kernels::attention_backward_scratch(pass.ctx, shape, dy.dtype)});
    kernels::attention_backward(pass.ctx, shape, pass.rows.spans, queries(qk), keys(qk),
                                values(qkv), o, pass.tape->get(id_, kLse), d_o, queries(d_qk),
                                keys(d_qk), values(d_qkv), scratch);
  }
  if (q_norm_) {
    q_norm_->backward_input(pass, queries(d_qk), queries(d_qkv));
    k_norm_->backward_input(pass, keys(d_qk), keys(d_qkv));
  }
  qkv_.backward_input(pass, d_qkv, dx);
}

void Attention::restore_input(const Pass& pass, const Tensor& x) const {
  qkv_.restore_input(pass, x);
}

void Attention::backward_weight(const Pass& pass) const {
  const auto span = device::Span::layer(pass.ctx, "attention weights");
  out_.backward_weight(pass);
  if (q_norm_) q_norm_->backward_weight(pass), k_norm_->backward_weight(pass);
  qkv_.backward_weight(pass);
}

}  // namespace boreal::nn
