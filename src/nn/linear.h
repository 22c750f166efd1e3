// Linear: y = x W^T (+ b) (+ residual), W [out, in]. The tensor-parallel group may cut W by its
// outputs (a rank computes some columns of y from all of x) or by its inputs (a rank has some
// columns of x and computes a part of the sum y); the two make a pair. x and y are of the compute
// type; outside of pairs their rows are those of dist::Sequence. x must stay in place until
// backward_weight.
#pragma once

#include "dist/sequence.h"
#include "nn/pass.h"

namespace boreal::nn {

enum class Cut : std::uint8_t { outputs, inputs };

struct LinearOptions {
  std::string name;
  std::int64_t in_features = 0;  // of the whole matrix
  std::int64_t out_features = 0;
  bool bias = false;
  double init_std = 0.02;
  Cut cut = Cut::outputs;
  std::vector<Segment> segments;  // of the dim that is cut: what this rank holds
};

class Linear {
 public:
  Linear(const LinearOptions& options, const dist::Group& group, LayerIds& ids);

  // Only a matrix cut by inputs takes a residual: it closes the pair.
  void forward(const Pass& pass, const tensor::Tensor& x, tensor::Tensor y,
               const tensor::Tensor* residual = nullptr) const;
  // All rows of dy, as backward_input wants it. Lies in the caller's scratch until backward_weight.
  tensor::Tensor whole_gradient(const Pass& pass, const tensor::Tensor& dy) const;
  // dx = dy W. Remembers dy for backward_weight.
  void backward_input(const Pass& pass, const tensor::Tensor& dy, tensor::Tensor dx) const;
  // x of the last forward, made again elsewhere; before backward_weight.
  void restore_input(const Pass& pass, const tensor::Tensor& x) const;
  // dW += dy^T x, db += column sums of dy.
  void backward_weight(const Pass& pass) const;

  void visit(std::vector<Parameter*>& parameters);

 private:
  dist::Sequence sequence(const Pass& pass) const;

  Parameter weight_;
  Parameter bias_;
  bool has_bias_;
  Cut cut_;
  const dist::Group& group_;
  std::int64_t id_;
};

// dW[out, in] += dy^T x for any two matrices of equal rows; used by Linear and by the head.
void accumulate_weight_gradient(const Pass& pass, const tensor::Tensor& dy, const tensor::Tensor& x,
                                tensor::Tensor dw);

}  // namespace boreal::nn
