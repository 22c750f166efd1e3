// Rotary: the table of angles that rotary positions (Su et al. 2021) need; a constant of the model.
// Thread rule: prepare once, constant afterwards.
#pragma once

#include "device/context.h"
#include "tensor/memory.h"

namespace boreal::nn {

class Rotary {
 public:
  // A model without rotary positions has none: table() is null.
  Rotary() = default;
  Rotary(std::int64_t positions, std::int64_t head_dim, double theta);

  // Computes the angles. Until then, and on the meta device, the table is a shape without memory.
  void prepare(const device::Context& ctx);

  // fp32 [positions, head_dim]: cosines of head_dim / 2 angles, then sines; or null.
  const tensor::Tensor* table() const { return table_.shape.rank() > 0 ? &table_ : nullptr; }

 private:
  double theta_ = 0;
  tensor::Block memory_;
  tensor::Tensor table_;
};

}  // namespace boreal::nn
