// Block: one decoder block: attention, then the MLP, each with its norms and the residual stream
// around it. Everything forward keeps lies on the tape; backward works in scratch of one scope,
// freed when the block is done.
#pragma once

#include <optional>

#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"

namespace boreal::nn {

// Where a sublayer f has its norms.
enum class NormPlacement : std::uint8_t {
  before,    // x + f(norm(x))
  after,     // x + norm(f(x))
  around,    // x + norm(f(norm(x)))
  parallel,  // x + f(norm(x)) + g(norm(x)): the MLP g sees what attention f sees, by its own norm
};

struct BlockOptions {
  std::string name;
  NormKind norm = NormKind::rms;
  NormPlacement placement = NormPlacement::before;
  double norm_eps = 1e-5;
  bool norm_plus_one = false;
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
  // One sublayer's norms.
  struct Norms {
    std::optional<Norm> before, after;
  };
  static Norms norms(const BlockOptions& options, const std::string& name, const dist::Group& group,
                     LayerIds& ids);

  // y = residual + after(f(before(x))), by the norms that there are.
  template <class Layer>
  void forward_of(const Pass& pass, const Norms& norms, const Layer& layer, const tensor::Tensor& x,
                  const tensor::Tensor& residual, tensor::Tensor y) const;
  // dx = d_residual + gradient of x through the sublayer. What weights need stays in scratch.
  template <class Layer>
  void backward_of(const Pass& pass, const Norms& norms, const Layer& layer,
                   const tensor::Tensor& dy, const tensor::Tensor& d_residual,
                   tensor::Tensor dx) const;

  std::int64_t index_;
  bool parallel_;
  Norms norms1_;
  Attention attention_;
  Norms norms2_;
  Mlp mlp_;
};

}  // namespace boreal::nn
