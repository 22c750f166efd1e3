// HeadNorm: RMSNorm of queries or keys between their projection and the rotary positions: of each
// head by one weight vector (Qwen3), or over all heads at once (OLMo 2), whose sums then run over
// the tensor-parallel ranks. x must stay in place until backward_weight.
#pragma once

#include "nn/pass.h"

namespace boreal::nn {

enum class HeadNormKind : std::uint8_t { none, per_head, whole };

struct HeadNormOptions {
  std::string name;
  HeadNormKind kind = HeadNormKind::per_head;
  std::int64_t heads = 1;  // of this rank
  std::int64_t head_dim = 64;
  double eps = 1e-5;
  std::int64_t all_heads = 1;
  Segment held;  // kind whole: the part of [all_heads * head_dim] that this rank has
};

class HeadNorm {
 public:
  HeadNorm(const HeadNormOptions& options, const dist::Group& group, LayerIds& ids);

  // x, y [rows, heads * head_dim], any row stride.
  void forward(const Pass& pass, const tensor::Tensor& x, tensor::Tensor y) const;
  // dx has x's row stride. Remembers dy for backward_weight.
  void backward_input(const Pass& pass, const tensor::Tensor& dy, tensor::Tensor dx) const;
  void backward_weight(const Pass& pass) const;

  void visit(std::vector<Parameter*>& parameters) { parameters.push_back(&weight_); }

 private:
  std::int64_t groups() const { return kind_ == HeadNormKind::whole ? 1 : heads_; }
  // What one norm runs over, heads that several ranks hold counted as often as they are held.
  double count() const;
  void sum(const Pass& pass, const tensor::Tensor& sums) const;

  Parameter weight_;
  HeadNormKind kind_;
  std::int64_t heads_;
  std::int64_t head_dim_;
  double eps_;
  const dist::Group& group_;
  std::int64_t id_;
};

}  // namespace boreal::nn
