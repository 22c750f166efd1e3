#include "nn/head_norm.h"

#include "kernels/family_ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kInput, kScale, kOutputGradient };
}

HeadNorm::HeadNorm(const HeadNormOptions& o, const dist::Group& group, LayerIds& ids)
    : weight_{.name = o.name + ".weight",
              .shape = Shape{o.kind == HeadNormKind::whole ? o.all_heads * o.head_dim : o.head_dim},
              .init = Init::ones,
              .decay = false},
      kind_(o.kind),
      heads_(o.heads),
      head_dim_(o.head_dim),
      eps_(o.eps),
      group_(group),
      id_(ids.next()) {
  // One vector for all heads: each rank knows its gradient from its own heads.
  const Segment shared{.begin = 0,
                       .count = o.head_dim,
                       .first_holder = group.rank() == 0,
                       .sum_over = group.size() > 1 ? &group : nullptr,
                       .sum_begin = 0,
                       .sum_count = o.head_dim};
  weight_.segments = {o.kind == HeadNormKind::whole ? o.held : shared};
}

double HeadNorm::count() const {
  const std::int64_t here = kind_ == HeadNormKind::whole ? heads_ * head_dim_ : head_dim_;
  return static_cast<double>(kind_ == HeadNormKind::whole ? here * group_.size() : here);
}

void HeadNorm::sum(const Pass& pass, const Tensor& sums) const {
  if (kind_ == HeadNormKind::whole) group_.all_reduce(pass.ctx, sums).wait();
}

void HeadNorm::forward(const Pass& pass, const Tensor& x, Tensor y) const {
  const ScratchScope scope(pass.arena);
  const Tensor rstd = pass.keep(DType::f32, Shape{x.rows(), groups()});
  if (pass.tape != nullptr) {
    pass.tape->put(id_, kInput, x);
    pass.tape->put(id_, kScale, rstd);
  }
  kernels::head_squares(pass.ctx, x, rstd);
  sum(pass, rstd);
  kernels::head_scales(pass.ctx, rstd, count(), eps_);
  kernels::head_norm(pass.ctx, x, pass.weights.acquire_plain(weight_), rstd, y);
  pass.weights.release(weight_);
}

// Where ranks share a key head, dy is this rank's part of a sum. dx is linear in dy, and `count`
// gives each of them its share of the mean, so the parts of dx make up the whole too.
void HeadNorm::backward_input(const Pass& pass, const Tensor& dy, Tensor dx) const {
  const ScratchScope scope(pass.arena);
  pass.tape->put(id_, kOutputGradient, dy);
  const Tensor& x = pass.tape->get(id_, kInput);
  const Tensor w = pass.weights.acquire_plain(weight_);
  const Tensor dots = pass.scratch(DType::f32, Shape{x.rows(), groups()});
  kernels::head_dots(pass.ctx, dy, x, w, dots);
  sum(pass, dots);
  kernels::head_norm_backward(pass.ctx, dy, x, w, pass.tape->get(id_, kScale), dots, count(), dx);
  pass.weights.release(weight_);
}

void HeadNorm::backward_weight(const Pass& pass) const {
  if (pass.gradients == nullptr) return;
  kernels::head_norm_weight(pass.ctx, pass.tape->get(id_, kOutputGradient),
                            pass.tape->get(id_, kInput), pass.tape->get(id_, kScale),
                            pass.gradients->gradient(weight_));
}

}  // namespace boreal::nn
