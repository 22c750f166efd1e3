// Weights: those of a model that only answers, in the forms that layers compute with, each matrix
// in a format of its own. Thread rule: the thread that owns ctx.
#pragma once

#include <functional>
#include <vector>

#include "device/context.h"
#include "kernels/quantized.h"
#include "nn/parameter.h"
#include "tensor/memory.h"

namespace boreal::infer {

class Weights final : public nn::WeightSource {
 public:
  // Of each parameter that is multiplied; others have no format.
  using FormatOf = std::function<kernels::WeightFormat(const nn::Parameter&)>;

  // dtype: that of plain rows and of matrices whose format is plain. meta: sizes only.
  Weights(const std::vector<nn::Parameter*>& parameters, DType dtype, const FormatOf& format_of,
          bool meta = false);

  // Makes every form of one parameter from fp32 values of its local shape, or from blocks of its
  // format (kernels/quantized.h).
  void publish(const device::Context& ctx, const nn::Parameter& p, const tensor::Tensor& fp32);
  void publish_blocks(const device::Context& ctx, const nn::Parameter& p,
                      const tensor::Tensor& blocks);

  tensor::Tensor acquire_plain(const nn::Parameter& p) override;
  kernels::Packed acquire_packed(const nn::Parameter& p, nn::Form form) override;
  void release(const nn::Parameter&) override {}

  std::int64_t bytes() const { return bytes_; }

 private:
  struct Forms {
    tensor::Tensor plain;
    kernels::Packed packed;
  };
  std::vector<Forms> forms_;
  tensor::Block memory_;
  std::int64_t bytes_ = 0;
};

}  // namespace boreal::infer
