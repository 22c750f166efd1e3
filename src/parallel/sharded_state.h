// ShardedState: what training keeps of every parameter: fp32 master, gradient and the optimizer's
// moments, each one flat buffer in the model's order. WeightStore: the same weights in the forms
// that layers compute with. Thread rule: the thread that owns ctx.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "device/context.h"
#include "nn/parameter.h"
#include "tensor/memory.h"

namespace boreal::parallel {

class ShardedState final : public nn::GradientSink {
 public:
  // meta: shapes only, no memory.
  ShardedState(const std::vector<nn::Parameter*>& parameters, bool meta);

  // Draws the initial weights: Philox keyed by (seed, "init", name), counter = element index.
  void initialise(std::uint64_t seed);

  tensor::Tensor master(const nn::Parameter& p) const { return view(masters_, p); }
  tensor::Tensor gradient(const nn::Parameter& p) override { return view(gradients_, p); }
  tensor::Tensor first_moment(const nn::Parameter& p) const { return view(first_, p); }
  tensor::Tensor second_moment(const nn::Parameter& p) const { return view(second_, p); }
  tensor::Tensor all_gradients() const;

  const std::vector<nn::Parameter*>& parameters() const { return parameters_; }
  std::int64_t elements() const { return elements_; }

 private:
  tensor::Tensor view(const tensor::Block& block, const nn::Parameter& p) const;

  std::vector<nn::Parameter*> parameters_;
  std::vector<std::int64_t> offset_;
  std::int64_t elements_ =
      0;  // padding between parameters included; padding is zero and stays zero
  tensor::Block masters_, gradients_, first_, second_;
};

class WeightStore final : public nn::WeightSource {
 public:
  // backward: also keep the packed form that input gradients need.
  WeightStore(const std::vector<nn::Parameter*>& parameters, DType dtype, bool backward, bool meta);

  // Makes every form of one parameter, or of all, from fp32 values of the parameter's shape.
  void publish(const device::Context& ctx, const nn::Parameter& p, const tensor::Tensor& fp32);
  void publish(const device::Context& ctx, const ShardedState& state);

  tensor::Tensor acquire_plain(const nn::Parameter& p) override;
  kernels::Packed acquire_packed(const nn::Parameter& p, nn::Form form) override;
  void release(const nn::Parameter&) override {}

  std::int64_t plain_bytes() const { return plain_bytes_; }
  std::int64_t packed_bytes() const { return packed_bytes_; }

 private:
  struct Forms {
    tensor::Tensor plain;
    kernels::Packed forward;
    kernels::Packed backward;
  };
  std::vector<Forms> forms_;
  tensor::Block memory_;
  std::int64_t plain_bytes_ = 0;
  std::int64_t packed_bytes_ = 0;
};

}  // namespace boreal::parallel
