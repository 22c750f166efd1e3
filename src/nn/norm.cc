#include "nn/norm.h"

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kInput, kScale, kMean };
}

Norm::Norm(const std::string& name, NormKind kind, std::int64_t width, double eps,
           const dist::Group& group, bool summed, LayerIds& ids, bool plus_one)
    : weight_{.name = name + ".weight",
              .shape = Shape{width},
              .init = plus_one ? Init::zeros : Init::ones,
              .decay = false},
      bias_{.name = name + ".bias", .shape = Shape{width}, .init = Init::zeros, .decay = false},
      kind_(kind),
      eps_(eps),
      offset_(plus_one ? 1 : 0),
      id_(ids.next()) {
  const Segment all{.begin = 0,
                    .count = width,
                    .first_holder = group.rank() == 0,
                    .sum_over = summed && group.size() > 1 ? &group : nullptr,
                    .sum_begin = 0,
                    .sum_count = width};
  weight_.segments = bias_.segments = {all};
}

void Norm::visit(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weight_);
  if (kind_ == NormKind::layer) parameters.push_back(&bias_);
}

void Norm::forward(const Pass& pass, const Tensor& x, Tensor y) const {
  const ScratchScope scope(pass.arena);
  Tensor rstd;
  Tensor mean;
  const bool keep = pass.tape != nullptr;
  if (keep) {
    rstd = pass.keep(DType::f32, Shape{x.rows()});
    pass.tape->put(id_, kInput, x);
    pass.tape->put(id_, kScale, rstd);
  }
  const Tensor w = pass.weights.acquire_plain(weight_);
  if (kind_ == NormKind::rms) {
    kernels::rms_norm(pass.ctx, x, w, y, keep ? &rstd : nullptr, eps_, {.offset = offset_});
  } else {
    if (keep) {
      mean = pass.keep(DType::f32, Shape{x.rows()});
      pass.tape->put(id_, kMean, mean);
    }
    kernels::layer_norm(pass.ctx, x, w, pass.weights.acquire_plain(bias_), y,
                        keep ? &mean : nullptr, keep ? &rstd : nullptr, eps_);
    pass.weights.release(bias_);
  }
  pass.weights.release(weight_);
}

Tensor Norm::again(const Pass& pass) const {
  const Tensor& x = pass.tape->get(id_, kInput);
  const Tensor y = pass.scratch(x.dtype, x.shape);
  const Tensor w = pass.weights.acquire_plain(weight_);
  if (kind_ == NormKind::rms) {
    kernels::rms_norm(pass.ctx, x, w, y, nullptr, eps_, {.offset = offset_});
  } else {
    kernels::layer_norm(pass.ctx, x, w, pass.weights.acquire_plain(bias_), y, nullptr, nullptr,
                        eps_);
    pass.weights.release(bias_);
  }
  pass.weights.release(weight_);
  return y;
}

void Norm::backward(const Pass& pass, const Tensor& dy, const Tensor* dres, Tensor dx) const {
  const ScratchScope scope(pass.arena);
  const Tensor& x = pass.tape->get(id_, kInput);
  const Tensor& rstd = pass.tape->get(id_, kScale);
  const Tensor w = pass.weights.acquire_plain(weight_);
  const bool bias = kind_ == NormKind::layer;
  kernels::NormWeights weights;
  const bool trains = pass.gradients != nullptr;
  if (trains) {
    weights.dw = pass.gradients->gradient(weight_);
    if (bias) weights.db = pass.gradients->gradient(bias_);
    weights.partials = pass.scratch(DType::f32, kernels::norm_partials(x.rows(), w, bias));
  }
  if (bias)
    kernels::layer_norm_backward(pass.ctx, dy, x, w, pass.tape->get(id_, kMean), rstd, dres, dx,
                                 trains ? &weights : nullptr);
  else
    kernels::rms_norm_backward(pass.ctx, dy, x, w, rstd, dres, dx, trains ? &weights : nullptr,
                               offset_);
  pass.weights.release(weight_);
}

}  // namespace boreal::nn
