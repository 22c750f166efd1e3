#include "parallel/weight_store.h"

#include <algorithm>
#include <utility>

#include "dist/failure.h"
#include "kernels/ops.h"

namespace boreal::parallel {

using tensor::Shape;
using tensor::Tensor;

WeightStore::WeightStore(const std::vector<nn::Parameter*>& parameters, DType dtype, bool backward,
                         bool meta, const ShardedState* masters)
    : dtype_(dtype),
      shared_(masters != nullptr && dtype == DType::f32 && masters->groups().shard.size() == 1) {
  if (shared_)
    share(parameters, backward, meta, *masters);
  else
    lay_out(parameters, backward, meta);
}

void WeightStore::share(const std::vector<nn::Parameter*>& parameters, bool backward, bool meta,
                        const ShardedState& masters) {
  for (const nn::Parameter* p : parameters) {
    if (!p->multiplied) continue;
    const Shape shape = p->local_shape();
    packed_bytes_ = std::max(packed_bytes_, kernels::room_bytes(dtype_, shape[1], shape[0]));
    if (backward)
      packed_bytes_ = std::max(packed_bytes_, kernels::room_bytes(dtype_, shape[0], shape[1]));
  }
  if (!meta) memory_ = tensor::Block(packed_bytes_);
  const Tensor room(memory_.data(), DType::u8, Shape{packed_bytes_});
  for (const nn::Parameter* p : parameters) {
    const Tensor master = masters.master(*p);
    Forms forms{.plain = master, .forward = {}, .backward = {}};
    if (p->multiplied) {
      forms.forward = kernels::packed_as_used(master, true, dtype_, room);
      if (backward) forms.backward = kernels::packed_as_used(master, false, dtype_, room);
    }
    forms_.push_back(forms);
  }
}

void WeightStore::lay_out(const std::vector<nn::Parameter*>& parameters, bool backward, bool meta) {
  const auto round = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  for (const nn::Parameter* p : parameters) {
    const Shape shape = p->local_shape();
    if (!p->is_matrix()) plain_bytes_ += round(shape.elements() * 4);
    if (p->gathered)
      plain_bytes_ += round(shape.elements() * static_cast<std::int64_t>(bytes_of(dtype_)));
    if (!p->multiplied) continue;
    packed_bytes_ += round(kernels::packed_bytes(dtype_, shape[1], shape[0]));
    if (backward) packed_bytes_ += round(kernels::packed_bytes(dtype_, shape[0], shape[1]));
  }
  if (!meta) memory_ = tensor::Block(plain_bytes_ + packed_bytes_);
  std::int64_t used = 0;
  const auto take = [&](DType type, Shape shape) {
    Tensor tensor(meta ? nullptr : memory_.data() + used, type, shape);
    used += round(tensor.bytes());
    return tensor;
  };
  const auto packed = [&](std::int64_t k, std::int64_t n) {
    return kernels::packed_view(take(DType::u8, Shape{kernels::packed_bytes(dtype_, k, n)}), dtype_,
                                k, n);
  };
  for (const nn::Parameter* p : parameters) {
    const Shape shape = p->local_shape();
    Forms forms;
    if (!p->is_matrix()) forms.plain = take(DType::f32, shape);
    if (p->gathered) forms.plain = take(dtype_, shape);
    if (p->multiplied) {
      forms.forward = packed(shape[1], shape[0]);
      if (backward) forms.backward = packed(shape[0], shape[1]);
    }
    forms_.push_back(forms);
  }
}

WeightStore::~WeightStore() {
  for (dist::Event& event : events_) {
    try {
      std::exchange(event, {}).wait();
    } catch (const dist::Failure&) {  // told where the world was started
    }
  }
}

void WeightStore::make(const device::Context& ctx, const nn::Parameter& p, const Tensor& values) {
  Forms& forms = forms_[static_cast<std::size_t>(p.index)];
  const bool written = tables_ == Tables::written && rounded_table(p) != nullptr;
  if ((!p.is_matrix() || p.gathered) && !written) kernels::convert(ctx, values, forms.plain);
  if (!p.multiplied) return;
  kernels::pack(ctx, values, true, forms.forward);
  if (forms.backward.k > 0) kernels::pack(ctx, values, false, forms.backward);
}

void WeightStore::publish(const device::Context& ctx, const nn::Parameter& p, const Tensor& fp32) {
  CHECK(!shared_, "{}: the masters are the weights", p.name);
  make(ctx, p, fp32);
}

void WeightStore::publish(const device::Context& ctx, const ShardedState& state) {
  start_publish(ctx, state);
  finish_publish();
}

std::int64_t WeightStore::staging_bytes(const ShardedState& state, DType dtype) {
  if (state.groups().shard.size() == 1) return 0;
  std::int64_t largest = 0;
  for (const Bucket& bucket : state.layout().buckets())
    largest = std::max(largest, bucket.elements * static_cast<std::int64_t>(bytes_of(
                                                      bucket.matrices ? dtype : DType::f32)));
  return static_cast<std::int64_t>(kStages) * largest;
}

Tensor WeightStore::stage(const Bucket& bucket, std::int64_t number) const {
  const std::int64_t each = staging_.bytes() / static_cast<std::int64_t>(kStages);
  return {staging_.data() + number % static_cast<std::int64_t>(kStages) * each, wire(bucket),
          Shape{bucket.elements}};
}

Tensor* WeightStore::rounded_table(const nn::Parameter& p) {
  return p.gathered && dtype_ == DType::bf16 ? &forms_[static_cast<std::size_t>(p.index)].plain
                                             : nullptr;
}

void WeightStore::start_publish(const device::Context& ctx, const ShardedState& state,
                                Tables tables) {
  finish_publish();
  if (ctx.is_meta() || shared_) return;
  CHECK(tables == Tables::make || state.alone());
  tables_ = tables;
  state_ = &state;
  ctx_ = &ctx;
  made_ = sent_ = 0;
  if (staging_.bytes() == 0) staging_ = tensor::Block(staging_bytes(state, dtype_));
  send(0);
}

// Starts the gather of a bucket; where this rank owns all of it there is nothing to send.
void WeightStore::send(std::int64_t number) {
  if (number >= static_cast<std::int64_t>(state_->layout().buckets().size())) return;
  sent_ = number + 1;
  const Bucket& bucket = state_->layout().buckets()[static_cast<std::size_t>(number)];
  if (bucket.slice == bucket.elements) return;
  const dist::Group& group = state_->groups().shard;
  const Tensor all = stage(bucket, number);
  const Tensor mine = group.own_piece(all);
  kernels::convert(*ctx_, state_->master_slice(bucket), mine);
  events_[static_cast<std::size_t>(number) % kStages] =
      group.all_gather(*ctx_, mine, all, dist::Urgency::background);
}

void WeightStore::need(std::int64_t number) {
  while (made_ <= number) {
    const Bucket& bucket = state_->layout().buckets()[static_cast<std::size_t>(made_)];
    const bool owned = bucket.slice == bucket.elements;
    if (sent_ == made_) send(made_);
    if (!owned) std::exchange(events_[static_cast<std::size_t>(made_) % kStages], {}).wait();
    send(made_ + 1);
    const Tensor values = owned ? state_->master_slice(bucket) : stage(bucket, made_);
    const auto size = static_cast<std::int64_t>(bytes_of(values.dtype));
    for (const nn::Parameter* p : bucket.parameters) {
      const std::int64_t at = state_->layout().offset(*p) - bucket.begin;
      make(*ctx_, *p,
           {static_cast<std::byte*>(values.data) + at * size, values.dtype, p->local_shape()});
    }
    ++made_;
  }
  if (made_ < static_cast<std::int64_t>(state_->layout().buckets().size())) return;
  state_ = nullptr;
  tables_ = Tables::make;
}

void WeightStore::finish_publish() {
  if (state_ == nullptr) return;
  need(static_cast<std::int64_t>(state_->layout().buckets().size()) - 1);
}

Tensor WeightStore::acquire_plain(const nn::Parameter& p) {
  CHECK(!p.is_matrix() || p.gathered, "{}", p.name);
  need(p);
  return forms_[static_cast<std::size_t>(p.index)].plain;
}

kernels::Packed WeightStore::acquire_packed(const nn::Parameter& p, nn::Form form) {
  CHECK(p.multiplied, "{}", p.name);
  need(p);
  const Forms& forms = forms_[static_cast<std::size_t>(p.index)];
  return form == nn::Form::forward ? forms.forward : forms.backward;
}

}  // namespace boreal::parallel
