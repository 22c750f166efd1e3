// ShardedState: what training keeps of every parameter: the gradient of all that this rank holds,
// and of its slices the fp32 master and the optimizer's moments, each one flat buffer
// (flat_layout.h). Gradients are summed over the data-parallel ranks bucket by bucket while
// backward goes on. Thread rule: the thread that owns ctx.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "device/context.h"
#include "dist/group.h"
#include "nn/parameter.h"
#include "parallel/flat_layout.h"
#include "parallel/regions.h"
#include "tensor/memory.h"

namespace boreal::parallel {

// The data-parallel ranks: those that share the optimizer's state, and those that have the same
// slice of it.
struct DataGroups {
  dist::Group shard;
  dist::Group replicate;
};

// Large enough that a collective's start does not count, small enough that the last one of a
// backward is soon over.
inline constexpr std::int64_t kBucketElements = 4 << 20;

struct StateOptions {
  bool meta = false;  // shapes only, no memory
  std::int64_t bucket_elements = kBucketElements;
  // Zeroed memory of the caller's for the moments, moments_bytes() of it, that outlives the state;
  // null: memory of its own.
  std::byte* moments = nullptr;
};

class ShardedState final : public nn::GradientSink {
 public:
  ShardedState(const std::vector<nn::Parameter*>& parameters, const DataGroups& groups,
               const StateOptions& options = {});
  // This rank alone.
  ShardedState(const std::vector<nn::Parameter*>& parameters, bool meta)
      : ShardedState(parameters, {}, {.meta = meta}) {}
  // Sums under way are waited for: they write here.
  ~ShardedState() override;

  // Draws the initial weights: Philox keyed by (seed, "init", name), counter = element index in the
  // whole parameter, so a rank draws what it holds, and each thread a part of it.
  void initialise(const device::Context& ctx, std::uint64_t seed);
  // Puts all of its memory in place (tensor/memory.h), but for moments that are the caller's.
  void first_touch(const device::Context& ctx);

  // Gradient of all that this rank holds of p. After reduce() only this rank's slices are sums.
  tensor::Tensor gradient(const nn::Parameter& p) override;
  tensor::Tensor all_gradients() const;
  // The gradients were zeroed, or written by other means than a backward.
  void forget_squares();

  // Of a part: fp32 vectors of part.count elements.
  tensor::Tensor master(const Part& part) const { return slice(masters_.data(), part); }
  tensor::Tensor reduced_gradient(const Part& part) const;
  tensor::Tensor first_moment(const Part& part) const { return slice(first_, part); }
  tensor::Tensor second_moment(const Part& part) const { return slice(second_, part); }
  std::int64_t moments_bytes() const { return 2 * layout_.slice_elements() * 4; }
  // Of all that this rank holds of a parameter, where it owns all of that; a failed CHECK
  // otherwise.
  tensor::Tensor master(const nn::Parameter& p) const { return whole(masters_.data(), p); }
  tensor::Tensor first_moment(const nn::Parameter& p) const { return whole(first_, p); }
  tensor::Tensor second_moment(const nn::Parameter& p) const { return whole(second_, p); }
  // This rank's slice of a bucket.
  tensor::Tensor master_slice(const Bucket& bucket) const;

  // The backward that comes is the last of the step: buckets that it finishes are summed over the
  // ranks at once, in the background.
  void start_reduction();
  void finished(const device::Context& ctx, std::int64_t unit) override;
  // Waits for the sums.
  void finish_reduction();

  // Sum of squares of this rank's part of the gradient: over the ranks that share the state, and
  // over those that share the layers, each element counts once. After finish_reduction(). Where no
  // other rank adds to a bucket its squares are summed when it is finished, still in cache; the
  // bits are the same.
  double sum_squares(const device::Context& ctx) const;
  // No other rank has a share of this state or of its gradients.
  bool alone() const { return groups_.shard.size() == 1 && groups_.replicate.size() == 1; }

  // Where segments that several ranks add to are summed.
  std::int64_t sums_bytes() const { return sums_bytes_; }

  const std::vector<nn::Parameter*>& parameters() const { return parameters_; }
  const FlatLayout& layout() const { return layout_; }
  const DataGroups& groups() const { return groups_; }

 private:
  struct Run {
    std::int64_t bucket = 0;
    std::int64_t begin = 0;  // in the flat buffer
    std::int64_t count = 0;
    std::optional<double> squares;  // of the step under way
  };
  tensor::Tensor slice(std::byte* memory, const Part& part) const;
  tensor::Tensor whole(std::byte* memory, const nn::Parameter& p) const;
  void draw(const device::Context& ctx, const Part& part, std::uint64_t seed, std::int64_t begin,
            std::int64_t end) const;
  tensor::Tensor flat(std::int64_t begin, std::int64_t count) const;
  void list_counted_runs();
  void sum_segments(const device::Context& ctx, const Bucket& bucket);
  void reduce(const device::Context& ctx, const Bucket& bucket);

  std::vector<nn::Parameter*> parameters_;
  DataGroups groups_;
  FlatLayout layout_;
  tensor::Block gradients_, masters_, moments_;
  std::byte* first_ = nullptr;  // of moments_, or the caller's
  std::byte* second_ = nullptr;
  std::int64_t sums_bytes_ = 0;
  tensor::Block sums_;
  std::vector<Run> counted_;
  bool reducing_ = false;
  std::vector<std::int64_t> open_units_;  // by bucket: units that are not finished
  std::vector<dist::Event> events_;
};

}  // namespace boreal::parallel
