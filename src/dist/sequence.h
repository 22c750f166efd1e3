// Activations between tensor-parallel pairs of layers. Inside a pair (a matrix cut by its outputs,
// then one cut by its inputs) every rank has all rows and a part of the columns. Between pairs it
// has all columns, and either all rows or, with sequence parallelism (Korthikanti et al. 2022), its
// piece of them. These functions pass from one to the other; on one rank they hand back what they
// are given. Memory comes from the scratch of the caller's scope. Thread rule: the thread that owns
// the rank.
#pragma once

#include "dist/group.h"
#include "tensor/memory.h"

namespace boreal::dist {

class Sequence {
 public:
  Sequence(const device::Context& ctx, tensor::Arena& arena, const Group& group, bool sharded)
      : ctx_(ctx), arena_(arena), group_(group), sharded_(sharded && group.size() > 1) {}

  // How many of `rows` rows lie here between pairs.
  std::int64_t rows(std::int64_t rows) const;
  // This rank's piece of something that has all rows and whose rows between pairs are wanted.
  tensor::Tensor own(const tensor::Tensor& whole) const;

  // All `rows` rows of x.
  tensor::Tensor gather(const tensor::Tensor& x, std::int64_t rows) const;

  // Where this rank writes its part of a sum over the ranks that will end up in y; it has `rows`
  // rows. Then sum().
  tensor::Tensor partial(const tensor::Tensor& y, std::int64_t rows) const;
  // The rows of a partial tensor to which this rank alone adds what must be added once (bias,
  // residual): [first, second).
  std::pair<std::int64_t, std::int64_t> once(std::int64_t rows) const;
  void sum(const tensor::Tensor& partial, tensor::Tensor y) const;

  // The same for columns: where this rank writes its piece of the columns of y, and the whole y.
  tensor::Tensor column_piece(const tensor::Tensor& y) const;
  void gather_columns(const tensor::Tensor& piece, tensor::Tensor y) const;

 private:
  const device::Context& ctx_;
  tensor::Arena& arena_;
  const Group& group_;
  bool sharded_;
};

}  // namespace boreal::dist
