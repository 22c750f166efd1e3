// Rotary: the table of angles that rotary positions (Su et al. 2021) need; a constant of the model.
// Thread rule: prepare once, constant afterwards.
#pragma once

#include <cstdint>
#include <vector>

#include "device/context.h"
#include "tensor/memory.h"

namespace boreal::nn {

// How the frequencies of a model are stretched for contexts longer than those it first saw.
// linear: all divided by factor (Chen et al. 2023). llama3 (Llama team 2024): those of wavelengths
// above original_context / low are, those below original_context / high stay, between them the two
// are blended.
enum class RotaryScaling : std::uint8_t { none, linear, llama3 };

struct RotaryOptions {
  std::int64_t dim = 0;  // features of a head that turn; even. 0: the model has no rotary positions
  double theta = 10000;
  RotaryScaling scaling = RotaryScaling::none;
  double factor = 1;
  double low = 1;
  double high = 4;
  std::int64_t original_context = 8192;
};

// Of dim / 2 angles, per position.
std::vector<float> rotary_frequencies(const RotaryOptions& options);

class Rotary {
 public:
  // table() is null.
  Rotary() = default;
  Rotary(std::int64_t positions, const RotaryOptions& options);

  // Computes the angles. Until then, and on the meta device, the table is a shape without memory.
  void prepare(const device::Context& ctx);

  // fp32 [positions, dim]: cosines of dim / 2 angles, then sines; or null.
  const tensor::Tensor* table() const { return table_.shape.rank() > 0 ? &table_ : nullptr; }

 private:
  RotaryOptions options_;
  tensor::Block memory_;
  tensor::Tensor table_;
};

}  // namespace boreal::nn
