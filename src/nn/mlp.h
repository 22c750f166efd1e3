// Mlp: SwiGLU or GeGLU (gate and up fused in one matrix: rows of gate, then rows of up) or GELU,
// then the projection back. GELU is by tanh but for gelu_erf.
#pragma once

#include "kernels/ops.h"
#include "nn/linear.h"

namespace boreal::nn {

using MlpKind = kernels::Activation;

struct MlpOptions {
  std::string name;
  MlpKind kind = MlpKind::swiglu;
  std::int64_t hidden = 0;
  std::int64_t ffn = 0;
  bool bias = false;
  double init_std = 0.02;
  double out_init_std = 0.02;
};

class Mlp {
 public:
  Mlp(const MlpOptions& options, const dist::Group& group, LayerIds& ids);

  // y = mlp(x) (+ residual).
  void forward(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor* residual,
               tensor::Tensor y) const;
  void backward_input(const Pass& pass, const tensor::Tensor& dy, tensor::Tensor dx) const;
  // x of the last forward, made again where the pass drops it; before backward_weight.
  void restore_input(const Pass& pass, const tensor::Tensor& x) const;
  void backward_weight(const Pass& pass) const;

  void visit(std::vector<Parameter*>& parameters);

 private:
  std::int64_t up_width() const { return kernels::gated(kind_) ? 2 * ffn_ : ffn_; }

  MlpKind kind_;
  std::int64_t ffn_;  // what this rank computes of it
  Linear up_;
  Linear down_;
  std::int64_t id_;
};

}  // namespace boreal::nn
