#include "nn/rotary.h"

#include "kernels/ops.h"

namespace boreal::nn {

Rotary::Rotary(std::int64_t positions, std::int64_t head_dim, double theta)
    : theta_(theta), table_(nullptr, DType::f32, tensor::Shape{positions, head_dim}) {}

void Rotary::prepare(const device::Context& ctx) {
  if (table() == nullptr || ctx.is_meta()) return;
  memory_ = tensor::Block(table_.bytes());
  table_.data = memory_.data();
  kernels::rope_table(ctx, theta_, table_);
}

}  // namespace boreal::nn
