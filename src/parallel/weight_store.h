// WeightStore: the weights that this rank holds in the forms that layers compute with. They are
// made from the masters bucket by bucket: where ranks share the state, each sends its slice in the
// type that the layers compute with, and the next bucket travels while layers compute with the last
// one. Thread rule: the thread that owns ctx.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "device/context.h"
#include "nn/parameter.h"
#include "parallel/sharded_state.h"
#include "tensor/memory.h"

namespace boreal::parallel {

class WeightStore final : public nn::WeightSource {
 public:
  // backward: also keep the packed form that input gradients need. masters: in fp32 on a rank that
  // owns all of them nothing is kept: layers read the masters, and products pack parts of them as
  // they go (kernels::packed_as_used). They outlive the store then.
  WeightStore(const std::vector<nn::Parameter*>& parameters, DType dtype, bool backward, bool meta,
              const ShardedState* masters = nullptr);
  // Buckets on their way are waited for: they are written here.
  ~WeightStore() override;

  // Puts its memory in place (tensor/memory.h).
  void first_touch(const device::Context& ctx) { tensor::first_touch(ctx, memory_); }

  // Makes every form of one parameter from fp32 values of its local shape.
  void publish(const device::Context& ctx, const nn::Parameter& p, const tensor::Tensor& fp32);
  // Of all, from the masters; on every rank that shares them. Returns when all is here.
  void publish(const device::Context& ctx, const ShardedState& state);
  // The same, but a bucket is made when a layer first asks for one of its weights. The masters stay
  // as they are until finish_publish(). written: the sweep that changed the masters has written all
  // that rounded_table() gives.
  enum class Tables : std::uint8_t { make, written };
  void start_publish(const device::Context& ctx, const ShardedState& state,
                     Tables tables = Tables::make);
  void finish_publish();

  // The plain form of a parameter if it is one of bf16, else null. While nothing is published.
  tensor::Tensor* rounded_table(const nn::Parameter& p);

  tensor::Tensor acquire_plain(const nn::Parameter& p) override;
  kernels::Packed acquire_packed(const nn::Parameter& p, nn::Form form) override;
  void release(const nn::Parameter&) override {}

  std::int64_t plain_bytes() const { return plain_bytes_; }
  std::int64_t packed_bytes() const { return packed_bytes_; }
  // Two buckets on their way; none where a rank owns all.
  static std::int64_t staging_bytes(const ShardedState& state, DType dtype);

 private:
  struct Forms {
    tensor::Tensor plain;
    kernels::Packed forward;
    kernels::Packed backward;
  };
  // Two buckets may be on their way.
  static constexpr std::size_t kStages = 2;

  void lay_out(const std::vector<nn::Parameter*>& parameters, bool backward, bool meta);
  void share(const std::vector<nn::Parameter*>& parameters, bool backward, bool meta,
             const ShardedState& masters);
  void make(const device::Context& ctx, const nn::Parameter& p, const tensor::Tensor& values);
  DType wire(const Bucket& bucket) const { return bucket.matrices ? dtype_ : DType::f32; }
  tensor::Tensor stage(const Bucket& bucket, std::int64_t number) const;
  void send(std::int64_t bucket);
  void need(std::int64_t bucket);
  void need(const nn::Parameter& p) {
    if (state_ != nullptr) need(state_->layout().bucket(p));
  }

  DType dtype_;
  bool shared_ = false;  // forms are views of the masters
  std::vector<Forms> forms_;
  tensor::Block memory_;
  std::int64_t plain_bytes_ = 0;
  std::int64_t packed_bytes_ = 0;

  // Publication under way: buckets below made_ are there, below sent_ on their way.
  const ShardedState* state_ = nullptr;
  const device::Context* ctx_ = nullptr;
  Tables tables_ = Tables::make;
  std::int64_t made_ = 0;
  std::int64_t sent_ = 0;
  std::array<dist::Event, kStages> events_;
  tensor::Block staging_;
};

}  // namespace boreal::parallel
