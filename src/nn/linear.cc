#include "nn/linear.h"

#include "kernels/ops.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
enum Slot : std::size_t { kInput, kOutputGradient };
}

Linear::Linear(const LinearOptions& options, const dist::Group& group, LayerIds& ids)
    : weight_{.name = options.name + ".weight",
              .shape = Shape{options.out_features, options.in_features},
              .init_std = options.init_std,
              .multiplied = true,
              .split_dim = options.cut == Cut::outputs ? 0 : 1,
              .segments = options.segments},
      bias_{.name = options.name + ".bias",
            .shape = Shape{options.out_features},
            .init = Init::zeros,
            .decay = false,
            .segments = options.segments},
      has_bias_(options.bias),
      cut_(options.cut),
      group_(group),
      id_(ids.next()) {
  // Each rank adds it to some rows, and each computes its whole gradient.
  if (cut_ == Cut::inputs)
    bias_.segments = {
        {.begin = 0, .count = options.out_features, .first_holder = group.rank() == 0}};
}

void Linear::visit(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weight_);
  if (has_bias_) parameters.push_back(&bias_);
}

dist::Sequence Linear::sequence(const Pass& pass) const {
  return {pass.ctx, pass.arena, group_, pass.sequence_parallel};
}

void Linear::forward(const Pass& pass, const Tensor& x, Tensor y, const Tensor* residual) const {
  const ScratchScope scope(pass.arena);
  const dist::Sequence sequence = this->sequence(pass);
  const std::int64_t rows = pass.rows.count;
  if (pass.tape != nullptr) pass.tape->put(id_, kInput, x);
  Tensor bias;
  if (has_bias_) bias = pass.weights.acquire_plain(bias_);
  const kernels::Packed weight = pass.weights.acquire_packed(weight_, Form::forward);
  const kernels::Epilogue biased{.bias = has_bias_ ? &bias : nullptr};
  if (cut_ == Cut::outputs) {
    CHECK(residual == nullptr, "{}", weight_.name);
    kernels::gemm(pass.ctx, sequence.gather(x, rows), weight, y, biased);
  } else {
    const Tensor partial = sequence.partial(y, rows);
    const auto [first, last] = sequence.once(rows);
    const auto product = [&](std::int64_t begin, std::int64_t end, const kernels::Epilogue& with) {
      if (begin < end)
        kernels::gemm(pass.ctx, x.row_slice(begin, end), weight, partial.row_slice(begin, end),
                      with);
    };
    kernels::Epilogue closing = biased;
    Tensor own;
    if (residual != nullptr) {
      own = residual->rows() == rows ? residual->row_slice(first, last) : *residual;
      closing.residual = &own;
    }
    product(0, first, {});
    product(first, last, closing);
    product(last, rows, {});
    sequence.sum(partial, y);
  }
  pass.weights.release(weight_);
  if (has_bias_) pass.weights.release(bias_);
}

Tensor Linear::whole_gradient(const Pass& pass, const Tensor& dy) const {
  return cut_ == Cut::inputs ? sequence(pass).gather(dy, pass.rows.count) : dy;
}

void Linear::backward_input(const Pass& pass, const Tensor& dy, Tensor dx) const {
  pass.tape->put(id_, kOutputGradient, dy);
  const kernels::Packed weight = pass.weights.acquire_packed(weight_, Form::backward);
  if (cut_ == Cut::outputs) {
    const ScratchScope scope(pass.arena);
    const dist::Sequence sequence = this->sequence(pass);
    const Tensor partial = sequence.partial(dx, pass.rows.count);
    kernels::gemm(pass.ctx, dy, weight, partial);
    sequence.sum(partial, dx);
  } else {
    kernels::gemm(pass.ctx, dy, weight, dx);
  }
  pass.weights.release(weight_);
}

void Linear::restore_input(const Pass& pass, const Tensor& x) const {
  pass.tape->put(id_, kInput, x);
}

void Linear::backward_weight(const Pass& pass) const {
  if (pass.gradients == nullptr) return;
  const ScratchScope scope(pass.arena);
  const Tensor& dy = pass.tape->get(id_, kOutputGradient);
  Tensor x = pass.tape->get(id_, kInput);
  if (cut_ == Cut::outputs) x = sequence(pass).gather(x, pass.rows.count);
  accumulate_weight_gradient(pass, dy, x, pass.gradients->gradient(weight_));
  if (has_bias_) kernels::column_sum(pass.ctx, dy, pass.gradients->gradient(bias_));
}

void accumulate_weight_gradient(const Pass& pass, const Tensor& dy, const Tensor& x, Tensor dw) {
  const ScratchScope scope(pass.arena);
  const std::int64_t bytes =
      kernels::weight_gradient_scratch(pass.ctx, x.dtype, x.rows(), dy.columns(), x.columns());
  kernels::weight_gradient(pass.ctx, dy, x, dw, pass.scratch(DType::u8, Shape{bytes}));
}

}  // namespace boreal::nn
