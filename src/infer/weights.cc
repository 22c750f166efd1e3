#include "infer/weights.h"

#include <algorithm>

#include "kernels/ops.h"

namespace boreal::infer {

using kernels::WeightFormat;
using tensor::Shape;
using tensor::Tensor;

Weights::Weights(const std::vector<nn::Parameter*>& parameters, DType dtype,
                 const FormatOf& format_of, bool meta) {
  const auto round = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  const auto plain_dtype = [&](const nn::Parameter& p) {
    return p.is_matrix() ? dtype : DType::f32;
  };
  const auto plain = [](const nn::Parameter& p) { return !p.is_matrix() || p.gathered; };
  const auto packed_bytes = [&](const nn::Parameter& p, WeightFormat format) {
    const Shape shape = p.local_shape();
    return format == WeightFormat::plain ? kernels::packed_bytes(dtype, shape[1], shape[0])
                                         : kernels::quantized_bytes(format, shape[1], shape[0]);
  };
  std::int64_t scratch_bytes = 0;
  for (const nn::Parameter* p : parameters) {
    const Shape shape = p->local_shape();
    if (plain(*p))
      bytes_ += round(shape.elements() * static_cast<std::int64_t>(bytes_of(plain_dtype(*p))));
    if (!p->multiplied) continue;
    const WeightFormat format = format_of(*p);
    bytes_ += round(packed_bytes(*p, format));
    if (format != WeightFormat::plain)
      scratch_bytes = std::max(scratch_bytes, kernels::quantized_scratch_bytes(shape[1]));
  }
  bytes_ += round(scratch_bytes);
  if (!meta) memory_ = tensor::Block(bytes_);
  std::int64_t used = 0;
  const auto take = [&](DType type, Shape shape) {
    Tensor tensor(meta ? nullptr : memory_.data() + used, type, shape);
    used += round(tensor.bytes());
    return tensor;
  };
  const Tensor scratch = take(DType::u8, Shape{scratch_bytes});
  for (const nn::Parameter* p : parameters) {
    const Shape shape = p->local_shape();
    Forms forms;
    if (plain(*p)) forms.plain = take(plain_dtype(*p), shape);
    if (p->multiplied) {
      const WeightFormat format = format_of(*p);
      const Tensor storage = take(DType::u8, Shape{packed_bytes(*p, format)});
      forms.packed = format == WeightFormat::plain
                         ? kernels::packed_view(storage, dtype, shape[1], shape[0])
                         : kernels::quantized_view(storage, scratch, format, shape[1], shape[0]);
    }
    forms_.push_back(forms);
  }
}

void Weights::publish(const device::Context& ctx, const nn::Parameter& p, const Tensor& fp32) {
  Forms& forms = forms_[static_cast<std::size_t>(p.index)];
  if (!p.is_matrix() || p.gathered) kernels::convert(ctx, fp32, forms.plain);
  if (!p.multiplied) return;
  if (forms.packed.format == WeightFormat::plain)
    kernels::pack(ctx, fp32, true, forms.packed);
  else
    kernels::pack_quantized(ctx, fp32, forms.packed);
}

void Weights::publish_blocks(const device::Context& ctx, const nn::Parameter& p,
                             const Tensor& blocks) {
  Forms& forms = forms_[static_cast<std::size_t>(p.index)];
  CHECK(p.multiplied, "{}", p.name);
  kernels::pack_blocks(ctx, blocks, forms.packed);
  if (p.gathered) kernels::from_blocks(ctx, blocks, forms.packed.format, forms.plain);
}

Tensor Weights::acquire_plain(const nn::Parameter& p) {
  CHECK(!p.is_matrix() || p.gathered, "{}", p.name);
  return forms_[static_cast<std::size_t>(p.index)].plain;
}

kernels::Packed Weights::acquire_packed(const nn::Parameter& p, nn::Form form) {
  CHECK(p.multiplied && form == nn::Form::forward, "{}", p.name);
  return forms_[static_cast<std::size_t>(p.index)].packed;
}

}  // namespace boreal::infer
