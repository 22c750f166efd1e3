#include "dist/sequence.h"

#include <cstring>

namespace boreal::dist {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

std::int64_t Sequence::rows(std::int64_t rows) const {
  if (!sharded_) return rows;
  return group_.begin(rows, group_.rank() + 1) - group_.begin(rows, group_.rank());
}

Tensor Sequence::own(const Tensor& whole) const {
  return sharded_ ? group_.own_piece(whole) : whole;
}

Tensor Sequence::gather(const Tensor& x, std::int64_t rows) const {
  if (!sharded_) return x;
  const Tensor whole = arena_.scratch(x.dtype, Shape{rows, x.columns()});
  group_.all_gather(ctx_, x, whole).wait();
  return whole;
}

Tensor Sequence::partial(const Tensor& y, std::int64_t rows) const {
  return sharded_ ? arena_.scratch(y.dtype, Shape{rows, y.columns()}) : y;
}

std::pair<std::int64_t, std::int64_t> Sequence::once(std::int64_t rows) const {
  return {group_.begin(rows, group_.rank()), group_.begin(rows, group_.rank() + 1)};
}

void Sequence::sum(const Tensor& partial, Tensor y) const {
  if (sharded_)
    group_.reduce_scatter(ctx_, partial, y).wait();
  else
    group_.all_reduce(ctx_, y).wait();
}

Tensor Sequence::column_piece(const Tensor& y) const {
  if (group_.size() == 1) return y;
  const auto [first, last] = once(y.columns());
  return arena_.scratch(y.dtype, Shape{y.rows(), last - first});
}

void Sequence::gather_columns(const Tensor& piece, Tensor y) const {
  if (group_.size() == 1) return;
  // The pieces travel one behind the other, each dense: as many rows as it has columns.
  const ScratchScope scope(arena_);
  const Tensor pieces = arena_.scratch(y.dtype, Shape{y.columns(), y.rows()});
  group_.all_gather(ctx_, piece.reshaped(Shape{piece.columns(), piece.rows()}), pieces).wait();
  if (ctx_.is_meta()) return;
  const auto size = static_cast<std::int64_t>(bytes_of(y.dtype));
  for (std::int64_t r = 0; r < group_.size(); ++r) {
    const std::int64_t first = group_.begin(y.columns(), r);
    const std::int64_t bytes = (group_.begin(y.columns(), r + 1) - first) * size;
    const std::byte* from = static_cast<const std::byte*>(pieces.data) + first * y.rows() * size;
    std::byte* to = static_cast<std::byte*>(y.data) + first * size;
    for (std::int64_t row = 0; row < y.rows(); ++row)
      std::memcpy(to + row * y.row_stride * size, from + row * bytes,
                  static_cast<std::size_t>(bytes));
  }
}

}  // namespace boreal::dist
