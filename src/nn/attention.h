// Attention: causal self-attention with grouped queries, optional rotary positions, kept apart by
// documents. Fused projection qkv = x W^T, rows of W: all query heads, then key heads, then value
// heads. With a LayerState the new keys and values are stored there and queries look at the stored
// ones.
#pragma once

#include "nn/linear.h"

namespace boreal::nn {

struct AttentionOptions {
  std::string name;
  std::int64_t hidden = 0;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  bool bias = false;
  double init_std = 0.02;
  double out_init_std = 0.02;
};

class Attention {
 public:
  Attention(const AttentionOptions& options, const dist::Group& group, LayerIds& ids);

  // y = attention(x) + residual. cos_sin: rotary table [positions, head_dim], or null for none.
  // block: index of the state.
  void forward(const Pass& pass, std::int64_t block, const tensor::Tensor* cos_sin,
               const tensor::Tensor& x, const tensor::Tensor& residual, tensor::Tensor y) const;
  void backward_input(const Pass& pass, const tensor::Tensor* cos_sin, const tensor::Tensor& dy,
                      tensor::Tensor dx) const;
  // x of the last forward, made again where the pass drops it; before backward_weight.
  void restore_input(const Pass& pass, const tensor::Tensor& x) const;
  void backward_weight(const Pass& pass) const;

  void visit(std::vector<Parameter*>& parameters);

  // Key heads that a rank of the group holds.
  static std::int64_t local_kv_heads(std::int64_t kv_heads, const dist::Group& group);

 private:
  kernels::AttentionShape shape(const Pass& pass) const;
  tensor::Tensor queries(const tensor::Tensor& qkv) const;
  tensor::Tensor keys(const tensor::Tensor& qkv) const;
  tensor::Tensor values(const tensor::Tensor& qkv) const;

  // Local numbers: what this rank computes.
  std::int64_t heads_;
  std::int64_t kv_heads_;
  std::int64_t head_dim_;
  Linear qkv_;
  Linear out_;
  std::int64_t id_;
};

}  // namespace boreal::nn
