#include "dist/group.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dist/world_state.h"

namespace boreal::dist {

namespace {

std::int64_t rows_of(const tensor::Tensor& t) {
  return t.shape.rank() == 0 ? 1 : t.shape[0];
}

void check_summable(const tensor::Tensor& t) {
  CHECK(t.dtype == DType::f32 || t.dtype == DType::bf16, "sums are fp32 or bf16, not {}",
        name_of(t.dtype));
}

// `piece` is rank's part of `whole`.
void check_piece(const Group& group, const tensor::Tensor& piece, const tensor::Tensor& whole) {
  CHECK(piece.dense() && whole.dense());
  CHECK_EQ(name_of(piece.dtype), name_of(whole.dtype));
  const std::int64_t rows = rows_of(whole);
  const std::int64_t width = rows == 0 ? 0 : whole.bytes() / rows;
  const std::int64_t own = group.begin(rows, group.rank() + 1) - group.begin(rows, group.rank());
  CHECK(piece.bytes() == own * width, "the piece of rank {} of {} of {} has {} bytes, not {}",
        group.rank(), group.size(), whole.shape.text(), own * width, piece.bytes());
}

void check_partner(const Group& group, const tensor::Tensor& x, std::int64_t other) {
  CHECK(x.dense());
  CHECK(other >= 0 && other < group.size() && other != group.rank(),
        "rank {} of a group of {} passes to rank {}", group.rank(), group.size(), other);
}

// A group of one: the piece is the whole.
void copy(const tensor::Tensor& from, const tensor::Tensor& to) {
  if (from.data == to.data || from.bytes() == 0) return;
  std::memmove(to.data, from.data, static_cast<std::size_t>(from.bytes()));
}

void put_tensor(const tensor::Tensor& t, Call& call) {
  call.has_tensor = true;
  call.dtype = t.dtype;
  call.dim_count = t.shape.rank();
  for (std::int64_t d = 0; d < t.shape.rank(); ++d)
    call.dims[static_cast<std::size_t>(d)] = t.shape[d];
}

}  // namespace

Group Group::imagined(std::int64_t rank, std::int64_t size, std::string_view axis) {
  auto members = std::make_shared<Members>();
  members->rank = rank;
  members->size = size;
  members->axis = axis;
  return Group(std::move(members));
}

Operation Group::Members::pass(Kind kind, std::int64_t other, const Site& site) const {
  CHECK(world != nullptr, "the group {} is imagined: only meta collectives", axis);
  std::array<std::int64_t, 2> both = {ranks[static_cast<std::size_t>(rank)],
                                      ranks[static_cast<std::size_t>(other)]};
  std::ranges::sort(both);
  std::unique_ptr<Transport>& pair = pairs[other];
  if (pair == nullptr) pair = world->connect(both, axis + " pair");
  return operation_among(kind, pair.get(), both, site);
}

Operation Group::Members::operation(Kind kind, Transport* over, const Site& site) const {
  CHECK(world != nullptr, "the group {} is imagined: only meta collectives", axis);
  return operation_among(kind, over, ranks, site);
}

Operation Group::Members::operation_among(Kind kind, Transport* over,
                                          std::span<const std::int64_t> among,
                                          const Site& site) const {
  Operation op;
  op.transport = over;
  op.call.kind = kind;
  op.call.sequence = over->next_sequence();
  put_text(axis, op.call.axis);
  put_site(site, op.call);
  op.call.first = among.front();
  op.call.count = static_cast<std::int64_t>(among.size());
  op.call.stride = among[1] - among[0];
  for (std::size_t i = 2; i < among.size(); ++i)
    if (among[i] - among[i - 1] != op.call.stride) op.call.stride = 0;
  return op;
}

Event Group::Members::start(Operation op, const tensor::Tensor& from, const tensor::Tensor& to,
                            const tensor::Tensor& described, Urgency urgency) const {
  op.from = from;
  op.to = to;
  put_tensor(described, op.call);
  return {world->lane(), world->lane()->submit(op, urgency)};
}

std::vector<std::string> Group::Members::texts(Kind kind, const std::string& text,
                                               const Site& site) const {
  std::vector<std::string> all;
  Operation op = operation(kind, transport.get(), site);
  op.text = &text;
  op.texts = &all;
  world->lane()->wait(world->lane()->submit(op, Urgency::foreground));
  return all;
}

void Event::wait() const {
  if (lane_ != nullptr) lane_->wait(ticket_);
}

std::int64_t Group::rank() const {
  return members_ == nullptr ? 0 : members_->rank;
}
std::int64_t Group::size() const {
  return members_ == nullptr ? 1 : members_->size;
}
std::string_view Group::axis() const {
  return members_ == nullptr ? std::string_view() : members_->axis;
}
std::int64_t Group::world_rank(std::int64_t rank) const {
  CHECK(rank >= 0 && rank < size(), "rank {} of a group of {}", rank, size());
  if (members_ == nullptr || members_->ranks.empty()) return rank;
  return members_->ranks[static_cast<std::size_t>(rank)];
}

tensor::Tensor Group::own_piece(const tensor::Tensor& whole) const {
  const std::int64_t rows = rows_of(whole);
  const std::int64_t width = whole.elements() / std::max<std::int64_t>(rows, 1);
  const std::int64_t first = begin(rows, rank());
  const std::int64_t last = begin(rows, rank() + 1);
  tensor::Tensor piece = whole.reshaped(tensor::Shape{rows, width}).row_slice(first, last);
  return whole.shape.rank() <= 1 ? piece.reshaped(tensor::Shape{last - first}) : piece;
}

Event Group::all_reduce(const device::Context& ctx, tensor::Tensor x, Reduce reduce,
                        Urgency urgency, Site site) const {
  CHECK(x.dense());
  check_summable(x);
  if (ctx.is_meta() || size() == 1) return {};
  Operation op = members_->operation(Kind::all_reduce, members_->transport.get(), site);
  op.call.reduce = reduce;
  return members_->start(op, x, x, x, urgency);
}

Event Group::all_gather(const device::Context& ctx, const tensor::Tensor& piece,
                        tensor::Tensor whole, Urgency urgency, Site site) const {
  check_piece(*this, piece, whole);
  if (ctx.is_meta()) return {};
  if (size() == 1) {
    copy(piece, whole);
    return {};
  }
  const Operation op = members_->operation(Kind::all_gather, members_->transport.get(), site);
  return members_->start(op, piece, whole, whole, urgency);
}

Event Group::reduce_scatter(const device::Context& ctx, const tensor::Tensor& whole,
                            tensor::Tensor piece, Urgency urgency, Site site) const {
  check_piece(*this, piece, whole);
  check_summable(whole);
  if (ctx.is_meta()) return {};
  if (size() == 1) {
    copy(whole, piece);
    return {};
  }
  const Operation op = members_->operation(Kind::reduce_scatter, members_->transport.get(), site);
  return members_->start(op, whole, piece, whole, urgency);
}

Event Group::broadcast(const device::Context& ctx, tensor::Tensor x, std::int64_t root,
                       Urgency urgency, Site site) const {
  CHECK(x.dense());
  CHECK(root >= 0 && root < size(), "root {} of a group of {}", root, size());
  if (ctx.is_meta() || size() == 1) return {};
  Operation op = members_->operation(Kind::broadcast, members_->transport.get(), site);
  op.call.root = root;
  return members_->start(op, x, x, x, urgency);
}

Event Group::all_to_all(const device::Context& ctx, const tensor::Tensor& from, tensor::Tensor to,
                        Urgency urgency, Site site) const {
  CHECK(from.dense() && to.dense());
  CHECK_EQ(name_of(from.dtype), name_of(to.dtype));
  CHECK_EQ(from.bytes(), to.bytes());
  CHECK(rows_of(from) % size() == 0, "{} rows for {} ranks", rows_of(from), size());
  if (ctx.is_meta()) return {};
  if (size() == 1) {
    copy(from, to);
    return {};
  }
  CHECK(from.data != to.data || from.bytes() == 0, "all_to_all in place");
  const Operation op = members_->operation(Kind::all_to_all, members_->transport.get(), site);
  return members_->start(op, from, to, from, urgency);
}

Event Group::send(const device::Context& ctx, const tensor::Tensor& x, std::int64_t to,
                  Urgency urgency, Site site) const {
  check_partner(*this, x, to);
  if (ctx.is_meta()) return {};
  const Operation op = members_->pass(Kind::send, to, site);
  return members_->start(op, x, x, x, urgency);
}

Event Group::receive(const device::Context& ctx, tensor::Tensor x, std::int64_t from,
                     Urgency urgency, Site site) const {
  check_partner(*this, x, from);
  if (ctx.is_meta()) return {};
  const Operation op = members_->pass(Kind::receive, from, site);
  return members_->start(op, x, x, x, urgency);
}

void Group::barrier(Site site) const {
  if (size() == 1) return;
  const Operation op = members_->operation(Kind::barrier, members_->transport.get(), site);
  Lane* lane = members_->world->lane();
  lane->wait(lane->submit(op, Urgency::foreground));
}

double Group::sum(double value, Site site) const {
  if (size() == 1) return value;
  // A step sums a few times: on the stack while the ranks are few.
  std::array<double, 256> few{};
  std::vector<double> many(size() > std::ssize(few) ? static_cast<std::size_t>(size()) : 0);
  const std::span<double> all =
      many.empty() ? std::span(few).first(static_cast<std::size_t>(size())) : std::span(many);
  Operation op = members_->operation(Kind::sum, members_->transport.get(), site);
  const tensor::Tensor own(&value, DType::f64, tensor::Shape{1});
  const tensor::Tensor whole(all.data(), DType::f64, tensor::Shape{size()});
  members_->start(op, own, whole, whole, Urgency::foreground).wait();
  double total = 0;
  for (const double each : all) total += each;
  return total;
}

std::vector<std::string> Group::gather_texts(const std::string& text, Site site) const {
  if (size() == 1) return {text};
  return members_->texts(Kind::gather_texts, text, site);
}

Status Group::agree(const Status& mine, Site site) const {
  if (size() == 1) return mine;
  // Empty: no error. Otherwise its kind and its message.
  std::string text;
  if (!mine.ok())
    text = static_cast<char>('0' + static_cast<int>(mine.error().kind)) + mine.error().message;
  for (const std::string& each : members_->texts(Kind::agree, text, site))
    if (!each.empty()) return Error{each.substr(1), static_cast<ErrorKind>(each[0] - '0')};
  return Done{};
}

}  // namespace boreal::dist
