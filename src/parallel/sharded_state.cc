#include "parallel/sharded_state.h"

#include "base/philox.h"
#include "kernels/ops.h"

namespace boreal::parallel {

using tensor::Block;
using tensor::Shape;
using tensor::Tensor;

namespace {
// Parameters start on cache lines.
constexpr std::int64_t kAlign = 16;
std::int64_t padded(std::int64_t elements) {
  return (elements + kAlign - 1) / kAlign * kAlign;
}
}  // namespace

ShardedState::ShardedState(const std::vector<nn::Parameter*>& parameters, bool meta)
    : parameters_(parameters) {
  for (const nn::Parameter* p : parameters_) {
    offset_.push_back(elements_);
    elements_ += padded(p->shape.elements());
  }
  if (meta) return;
  const std::int64_t bytes = elements_ * 4;
  masters_ = Block(bytes);
  gradients_ = Block(bytes);
  first_ = Block(bytes);
  second_ = Block(bytes);
}

Tensor ShardedState::view(const Block& block, const nn::Parameter& p) const {
  Tensor tensor(nullptr, DType::f32, p.shape);
  if (block.data() != nullptr)
    tensor.data = block.data() + offset_[static_cast<std::size_t>(p.index)] * 4;
  return tensor;
}

Tensor ShardedState::all_gradients() const {
  return {gradients_.data(), DType::f32, Shape{elements_}};
}

void ShardedState::initialise(std::uint64_t seed) {
  for (const nn::Parameter* p : parameters_) {
    auto* value = static_cast<float*>(master(*p).data);
    const std::int64_t count = p->shape.elements();
    if (p->init == nn::Init::normal) {
      const Rng rng(seed, "init", p->name);
      for (std::int64_t i = 0; i < count; ++i)
        value[i] = static_cast<float>(p->init_std * rng.normal(static_cast<std::uint64_t>(i)));
    } else {
      for (std::int64_t i = 0; i < count; ++i) value[i] = p->init == nn::Init::ones ? 1.0F : 0.0F;
    }
  }
}

WeightStore::WeightStore(const std::vector<nn::Parameter*>& parameters, DType dtype, bool backward,
                         bool meta) {
  const auto round = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  for (const nn::Parameter* p : parameters) {
    if (!p->is_matrix()) plain_bytes_ += round(p->shape.elements() * 4);
    if (p->gathered)
      plain_bytes_ += round(p->shape.elements() * static_cast<std::int64_t>(bytes_of(dtype)));
    if (!p->multiplied) continue;
    packed_bytes_ += round(kernels::packed_bytes(dtype, p->shape[1], p->shape[0]));
    if (backward) packed_bytes_ += round(kernels::packed_bytes(dtype, p->shape[0], p->shape[1]));
  }
  if (!meta) memory_ = Block(plain_bytes_ + packed_bytes_);
  std::int64_t used = 0;
  const auto take = [&](DType type, Shape shape) {
    Tensor tensor(meta ? nullptr : memory_.data() + used, type, shape);
    used += round(tensor.bytes());
    return tensor;
  };
  const auto packed = [&](std::int64_t k, std::int64_t n) {
    return kernels::packed_view(take(DType::u8, Shape{kernels::packed_bytes(dtype, k, n)}), dtype,
                                k, n);
  };
  for (const nn::Parameter* p : parameters) {
    Forms forms;
    if (!p->is_matrix()) forms.plain = take(DType::f32, p->shape);
    if (p->gathered) forms.plain = take(dtype, p->shape);
    if (p->multiplied) {
      forms.forward = packed(p->shape[1], p->shape[0]);
      if (backward) forms.backward = packed(p->shape[0], p->shape[1]);
    }
    forms_.push_back(forms);
  }
}

void WeightStore::publish(const device::Context& ctx, const nn::Parameter& p, const Tensor& fp32) {
  Forms& forms = forms_[static_cast<std::size_t>(p.index)];
  if (!p.is_matrix() || p.gathered) kernels::convert(ctx, fp32, forms.plain);
  if (!p.multiplied) return;
  kernels::pack(ctx, fp32, true, forms.forward);
  if (forms.backward.k > 0) kernels::pack(ctx, fp32, false, forms.backward);
}

void WeightStore::publish(const device::Context& ctx, const ShardedState& state) {
  for (const nn::Parameter* p : state.parameters()) publish(ctx, *p, state.master(*p));
}

Tensor WeightStore::acquire_plain(const nn::Parameter& p) {
  CHECK(!p.is_matrix() || p.gathered, "{}", p.name);
  return forms_[static_cast<std::size_t>(p.index)].plain;
}

kernels::Packed WeightStore::acquire_packed(const nn::Parameter& p, nn::Form form) {
  CHECK(p.multiplied, "{}", p.name);
  const Forms& forms = forms_[static_cast<std::size_t>(p.index)];
  return form == nn::Form::forward ? forms.forward : forms.backward;
}

}  // namespace boreal::parallel
