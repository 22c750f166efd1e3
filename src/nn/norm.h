// Norm: RMSNorm (Llama) or LayerNorm (GPT-2) over the last dim, of the rows that are here. x must
// stay in place until backward.
#pragma once

#include "nn/pass.h"

namespace boreal::nn {

enum class NormKind : std::uint8_t { rms, layer };

class Norm {
 public:
  // Every rank of the group holds the weights. summed: their gradients are parts of one sum,
  // because each rank has some of the rows (or a part of dy); else each rank has the whole
  // gradient. plus_one: the weights are kept as their distance from one (Gemma).
  Norm(const std::string& name, NormKind kind, std::int64_t width, double eps,
       const dist::Group& group, bool summed, LayerIds& ids, bool plus_one = false);

  void forward(const Pass& pass, const tensor::Tensor& x, tensor::Tensor y) const;
  // The y of the last forward once more, in scratch of the caller's scope.
  tensor::Tensor again(const Pass& pass) const;
  // dx = dres + gradient through the norm; with gradients in the pass also the weights', in the
  // same reading.
  void backward(const Pass& pass, const tensor::Tensor& dy, const tensor::Tensor* dres,
                tensor::Tensor dx) const;

  void visit(std::vector<Parameter*>& parameters);

 private:
  Parameter weight_;
  Parameter bias_;
  NormKind kind_;
  double eps_;
  double offset_;  // of the weight
  std::int64_t id_;
};

}  // namespace boreal::nn
