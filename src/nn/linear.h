// Linear: y = x W^T (+ b) (+ residual), W [out, in]. `group` is the tensor-parallel group.
// x and y are [rows, in] and [rows, out] of the compute type. x must stay in place until
// backward_weight.
#pragma once

#include "dist/group.h"
#include "nn/pass.h"

namespace boreal::nn {

struct LinearOptions {
  std::string name;
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = false;
  double init_std = 0.02;
};

class Linear {
 public:
  Linear(const LinearOptions& options, const dist::Group& group, LayerIds& ids);

  void forward(const Pass& pass, const tensor::Tensor& x, tensor::Tensor y,
               const tensor::Tensor* residual = nullptr) const;
  // dx = dy W. Remembers dy for backward_weight.
  void backward_input(const Pass& pass, const tensor::Tensor& dy, tensor::Tensor dx) const;
  // dW += dy^T x, db += column sums of dy.
  void backward_weight(const Pass& pass) const;

  void visit(std::vector<Parameter*>& parameters);
  std::int64_t out_features() const { return weight_.shape[0]; }

 private:
  Parameter weight_;
  Parameter bias_;
  bool has_bias_;
  const dist::Group& group_;
  std::int64_t id_;
};

// dW[out, in] += dy^T x for any two matrices of equal rows; used by Linear and by the head.
void accumulate_weight_gradient(const Pass& pass, const tensor::Tensor& dy, const tensor::Tensor& x,
                                tensor::Tensor dw);

}  // namespace boreal::nn
