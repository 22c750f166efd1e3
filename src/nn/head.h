// Head: final norm, vocabulary matrix and loss. Logits are never whole: rows go through in chunks,
// forward and backward at once, because the loss divisor is known before the first backward. Rows
// that do not count in the loss are left out. The tensor-parallel group cuts the matrix by rows of
// the vocabulary: the loss needs the largest logit and two sums over the ranks, the gradient of x
// is a sum over them.
#pragma once

#include "dist/sequence.h"
#include "nn/norm.h"

namespace boreal::nn {

struct HeadOptions {
  std::string name;
  NormKind norm = NormKind::rms;
  double norm_eps = 1e-5;
  bool norm_plus_one = false;
  double soft_cap = 0;  // of the logits; 0: none
  std::int64_t hidden = 0;
  std::int64_t vocab = 0;
  double init_std = 0.02;
};

// The rows that count, in rising order.
struct Targets {
  tensor::Tensor row;  // int32 [n]: row of the batch
  tensor::Tensor id;   // int32 [n]: the token to predict
  tensor::Tensor
      seed;  // fp32 [n]: weight / (global sum of weights); the gradient of the loss is scaled by it
  tensor::Tensor loss;  // fp32 [n], written: -log p
  std::int64_t count = 0;
  // Times the square of the logits' log-sum-exp is differentiated too (kernels::LossOptions).
  double z_loss = 0;
};

class Head {
 public:
  // tied: the embedding's table, or null for a matrix of its own.
  Head(const HeadOptions& options, const Parameter* tied, const dist::Group& group, LayerIds& ids);

  // Rows that go through at once. bf16: few enough that gradients of a wide vocabulary's logits
  // stay in the third-level cache; fp32's do not anyhow, and narrow ones do with more rows.
  static std::int64_t chunk_rows(DType dtype, std::int64_t vocab) {
    return dtype == DType::bf16 && vocab > 16384 ? 256 : 512;
  }

  // x and dx: the rows of dist::Sequence. Writes the losses; with gradients in the pass also
  // accumulates weight gradients and writes dx [rows, hidden].
  void loss(const Pass& pass, const tensor::Tensor& x, const Targets& targets,
            tensor::Tensor* dx) const;
  // logits fp32 [n, vocab] of the listed rows of x (int32 [n]).
  void logits(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor& row,
              tensor::Tensor logits) const;

  void visit(std::vector<Parameter*>& parameters);

 private:
  struct Chunk;
  void loss_of(const Pass& pass, const Chunk& at, tensor::Tensor* d_whole) const;
  void cross_entropy(const Pass& pass, const Chunk& at, const tensor::Tensor& logits,
                     tensor::Tensor lse) const;
  std::int64_t first_id() const { return matrix().segments[0].begin; }
  const Parameter& matrix() const { return tied_ != nullptr ? *tied_ : own_; }

  Norm norm_;
  Parameter own_;
  const Parameter* tied_;
  double soft_cap_;
  const dist::Group& group_;
};

}  // namespace boreal::nn
