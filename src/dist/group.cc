#include "dist/group.h"

#include <cstring>

namespace boreal::dist {

namespace {
void copy(const device::Context& ctx, const tensor::Tensor& from, const tensor::Tensor& to) {
  CHECK_EQ(from.bytes(), to.bytes());
  CHECK(from.dense() && to.dense());
  if (ctx.is_meta() || from.data == to.data) return;
  std::memcpy(to.data, from.data, static_cast<std::size_t>(from.bytes()));
}
}  // namespace

struct Group::Members {
  std::int64_t rank = 0;
  std::int64_t size = 1;
  std::string axis;
};

Group Group::imagined(std::int64_t rank, std::int64_t size, std::string_view axis) {
  return Group(std::make_shared<const Members>(Members{rank, size, std::string(axis)}));
}

void Event::wait() const {}

std::int64_t Group::rank() const {
  return members_ == nullptr ? 0 : members_->rank;
}
std::int64_t Group::size() const {
  return members_ == nullptr ? 1 : members_->size;
}
std::string_view Group::axis() const {
  return members_ == nullptr ? std::string_view() : members_->axis;
}

tensor::Tensor Group::own_piece(const tensor::Tensor& whole) const {
  const std::int64_t rows = whole.shape.rank() == 0 ? 1 : whole.shape[0];
  const std::int64_t width = whole.elements() / std::max<std::int64_t>(rows, 1);
  const std::int64_t first = begin(rows, rank());
  const std::int64_t last = begin(rows, rank() + 1);
  tensor::Tensor piece = whole.reshaped(tensor::Shape{rows, width}).row_slice(first, last);
  return whole.shape.rank() <= 1 ? piece.reshaped(tensor::Shape{last - first}) : piece;
}

Event Group::all_reduce(const device::Context&, tensor::Tensor, Reduce, Urgency, Site) const {
  return {};
}

Event Group::all_gather(const device::Context& ctx, const tensor::Tensor& piece,
                        tensor::Tensor whole, Urgency, Site) const {
  if (size() == 1) copy(ctx, piece, whole);
  return {};
}

Event Group::reduce_scatter(const device::Context& ctx, const tensor::Tensor& whole,
                            tensor::Tensor piece, Urgency, Site) const {
  if (size() == 1) copy(ctx, whole, piece);
  return {};
}

Event Group::broadcast(const device::Context&, tensor::Tensor, std::int64_t root, Urgency,
                       Site) const {
  CHECK_EQ(root, 0);
  return {};
}

double Group::sum(double value, Site) const {
  return value;
}

Status Group::agree(const Status& mine, Site) const {
  return mine;
}

}  // namespace boreal::dist
