// Attention: causal self-attention with grouped queries, optional rotary positions, kept apart by
// documents. Fused projection qkv = x W^T, rows of W: all query heads, then key heads, then value
// heads. With a LayerState the new keys and values are stored there and queries look at the stored
// ones. What families add (window, soft cap, slopes, norms of queries and keys) are options.
#pragma once

#include <optional>

#include "nn/head_norm.h"
#include "nn/linear.h"

namespace boreal::nn {

struct AttentionOptions {
  std::string name;
  std::int64_t hidden = 0;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  bool bias = false;        // of the fused projection
  bool out_bias = false;    // of the one back
  double scale = 0;         // of the scores; 0: 1 / sqrt(head_dim)
  std::int64_t window = 0;  // keys that a query sees, itself the last; 0: all of its document
  double soft_cap = 0;      // of the scores; 0: none
  bool alibi = false;       // scores fall with distance, by the head's slope
  HeadNormKind qk_norm = HeadNormKind::none;
  double norm_eps = 1e-5;
  double init_std = 0.02;
  double out_init_std = 0.02;
};

class Attention {
 public:
  Attention(const AttentionOptions& options, const dist::Group& group, LayerIds& ids);

  // y = attention(x) (+ residual). cos_sin: rotary table [positions, features that turn], or null
  // for none. block: index of the state.
  void forward(const Pass& pass, std::int64_t block, const tensor::Tensor* cos_sin,
               const tensor::Tensor& x, const tensor::Tensor* residual, tensor::Tensor y) const;
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
  // Where queries and keys lie as attention takes them: in the fused projection, or normed.
  tensor::Tensor normed(const Pass& pass, const tensor::Tensor& qkv) const;
  tensor::Tensor queries(const tensor::Tensor& qkv) const;
  tensor::Tensor keys(const tensor::Tensor& qkv) const;
  tensor::Tensor values(const tensor::Tensor& qkv) const;

  // Local numbers: what this rank computes.
  std::int64_t heads_;
  std::int64_t kv_heads_;
  std::int64_t head_dim_;
  Linear qkv_;
  Linear out_;
  double scale_;
  std::int64_t window_;
  double soft_cap_;
  std::vector<float> slopes_;  // of the heads here; empty: none
  std::optional<HeadNorm> q_norm_;
  std::optional<HeadNorm> k_norm_;
  std::int64_t id_;
};

// ALiBi (Press et al. 2022): of n heads, n a power of two, head h has slope 2^(-8 (h + 1) / n);
// other numbers take those of the power below, then every other one of twice that power.
std::vector<float> alibi_slopes(std::int64_t heads);

}  // namespace boreal::nn
