// Block: one pre-norm decoder block, x + attention(norm(x)), then + mlp(norm(.)).
// Everything forward keeps lies on the tape; backward works in scratch of one scope, freed when the
// block is done.
#pragma once

#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"

namespace boreal::nn {

struct BlockOptions {
  std::string name;
  NormKind norm = NormKind::rms;
  double norm_eps = 1e-5;
  AttentionOptions attention;
  MlpOptions mlp;
  bool sequence_parallel = false;  // passes that train are
};

class Block {
 public:
  Block(const BlockOptions& options, std::int64_t index, const dist::Group& group, LayerIds& ids);

  void forward(const Pass& pass, const tensor::Tensor* cos_sin, const tensor::Tensor& x,
               tensor::Tensor y) const;
  // Input gradients, then weight gradients of the whole block. dx may not be dy.
  void backward(const Pass& pass, const tensor::Tensor* cos_sin, const tensor::Tensor& dy,
                tensor::Tensor dx) const;

  void visit(std::vector<Parameter*>& parameters);

 private:
  std::int64_t index_;
  Norm norm1_;
  Attention attention_;
  Norm norm2_;
  Mlp mlp_;
};

}  // namespace boreal::nn
