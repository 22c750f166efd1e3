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
              .multiplied = true},
      bias_{.name = options.name + ".bias",
            .shape = Shape{options.out_features},
            .init = Init::zeros,
            .decay = false},
      has_bias_(options.bias),
      group_(group),
      id_(ids.next()) {}

void Linear::visit(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weight_);
  if (has_bias_) parameters.push_back(&bias_);
}

void Linear::forward(const Pass& pass, const Tensor& x, Tensor y, const Tensor* residual) const {
  if (pass.tape != nullptr) pass.tape->put(id_, kInput, x);
  kernels::Epilogue epilogue{.residual = residual};
  Tensor bias;
  if (has_bias_) {
    bias = pass.weights.acquire_plain(bias_);
    epilogue.bias = &bias;
  }
  kernels::gemm(pass.ctx, x, pass.weights.acquire_packed(weight_, Form::forward), y, epilogue);
  pass.weights.release(weight_);
  if (has_bias_) pass.weights.release(bias_);
}

void Linear::backward_input(const Pass& pass, const Tensor& dy, Tensor dx) const {
  pass.tape->put(id_, kOutputGradient, dy);
  kernels::gemm(pass.ctx, dy, pass.weights.acquire_packed(weight_, Form::backward), dx);
  pass.weights.release(weight_);
  group_.all_reduce(pass.ctx, dx).wait();
}

void Linear::backward_weight(const Pass& pass) const {
  if (pass.gradients == nullptr) return;
  const Tensor& dy = pass.tape->get(id_, kOutputGradient);
  accumulate_weight_gradient(pass, dy, pass.tape->get(id_, kInput),
                             pass.gradients->gradient(weight_));
  if (has_bias_) kernels::column_sum(pass.ctx, dy, pass.gradients->gradient(bias_));
}

void accumulate_weight_gradient(const Pass& pass, const Tensor& dy, const Tensor& x, Tensor dw) {
  const ScratchScope scope(pass.arena);
  const std::int64_t rows = x.rows();
  const std::int64_t padded = x.dtype == DType::bf16 ? (rows + 1) / 2 * 2 : rows;
  Tensor dy_t = pass.scratch(x.dtype, Shape{dy.columns(), padded});
  kernels::transpose(pass.ctx, dy, dy_t);
  const Tensor storage =
      pass.scratch(DType::u8, Shape{kernels::packed_bytes(x.dtype, rows, x.columns())});
  kernels::Packed packed = kernels::packed_view(storage, x.dtype, rows, x.columns());
  kernels::pack(pass.ctx, x, false, packed);
  kernels::gemm(pass.ctx, dy_t, packed, dw, {.accumulate = true});
}

}  // namespace boreal::nn
