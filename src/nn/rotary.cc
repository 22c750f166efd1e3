#include "nn/rotary.h"

#include <cmath>
#include <numbers>

#include "kernels/ops.h"

namespace boreal::nn {

std::vector<float> rotary_frequencies(const RotaryOptions& o) {
  std::vector<float> all;
  const auto original = static_cast<double>(o.original_context);
  for (std::int64_t i = 0; i < o.dim / 2; ++i) {
    // The frequency is rounded to fp32 before it meets anything, as the published models do.
    const auto plain = static_cast<float>(
        std::pow(o.theta, -static_cast<double>(2 * i) / static_cast<double>(o.dim)));
    auto scaled = static_cast<double>(plain);
    if (o.scaling == RotaryScaling::linear) scaled /= o.factor;
    if (o.scaling == RotaryScaling::llama3) {
      const double turns = original * scaled / (2 * std::numbers::pi);
      if (turns < o.low)
        scaled /= o.factor;
      else if (turns <= o.high) {
        const double blend = (turns - o.low) / (o.high - o.low);
        scaled = (1 - blend) * scaled / o.factor + blend * scaled;
      }
    }
    all.push_back(static_cast<float>(scaled));
  }
  return all;
}

Rotary::Rotary(std::int64_t positions, const RotaryOptions& options)
    : options_(options), table_(nullptr, DType::f32, tensor::Shape{positions, options.dim}) {}

void Rotary::prepare(const device::Context& ctx) {
  if (table() == nullptr || ctx.is_meta()) return;
  memory_ = tensor::Block(table_.bytes());
  table_.data = memory_.data();
  kernels::rope_table(ctx, rotary_frequencies(options_), table_);
}

}  // namespace boreal::nn
