// Group: one set of ranks and the collectives over it. Layers and optimizers take groups from the
// first day; a group of one rank is not a special case, its collectives are identities. Sums are in
// fp32 and in rank order. Thread rule: every rank of the group calls the same collectives in the
// same order, each from its own thread.
#pragma once

#include <cstdint>

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::dist {

// Completion of a collective. A group of one has finished before it returns.
class Event {
 public:
  void wait() const {}
};

class Group {
 public:
  // The group of this rank alone.
  Group() = default;

  std::int64_t rank() const { return 0; }
  std::int64_t size() const { return 1; }

  // In place: every rank ends with the sum over the ranks.
  Event all_reduce(const device::Context& ctx, tensor::Tensor x) const;
  // whole = the pieces of all ranks in rank order.
  Event all_gather(const device::Context& ctx, const tensor::Tensor& piece,
                   tensor::Tensor whole) const;
  // piece = this rank's part of the sum over the ranks of whole.
  Event reduce_scatter(const device::Context& ctx, const tensor::Tensor& whole,
                       tensor::Tensor piece) const;
  Event broadcast(const device::Context& ctx, tensor::Tensor x, std::int64_t root) const;
};

}  // namespace boreal::dist
