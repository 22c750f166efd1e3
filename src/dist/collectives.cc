#include "dist/collectives.h"

#include <cstring>

#include "dist/reduce_loops.h"

namespace boreal::dist {

namespace {

// Below it a broadcast takes one message a rank, above it each rank passes its piece on.
constexpr std::int64_t kSmallBroadcast = 64 << 10;

std::byte* bytes_of(const tensor::Tensor& t) {
  return static_cast<std::byte*>(t.data);
}

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

// Sums every chunk into its place of one's own piece.
class Summing final : public ChunkSink {
 public:
  Summing(const Call& call, std::byte* to) : call_(call), to_(to) {}
  void take(std::span<const std::byte* const> chunks, std::int64_t offset,
            std::int64_t bytes) override {
    const auto width = static_cast<std::int64_t>(boreal::bytes_of(call_.dtype));
    combine_chunks(call_.dtype, call_.reduce, chunks, bytes / width, to_ + offset);
  }

 private:
  const Call& call_;
  std::byte* to_;
};

}  // namespace

Collectives::Sent Collectives::run(const Operation& op) {
  transport_ = op.transport;
  rank_ = transport_->rank();
  size_ = transport_->size();
  sent_ = {};
  transport_->announce(op.call);
  switch (op.call.kind) {
    case Kind::all_reduce: all_reduce(op); break;
    case Kind::sum:
    case Kind::all_gather: all_gather(op); break;
    case Kind::reduce_scatter: reduce_scatter(op); break;
    case Kind::broadcast: broadcast(op); break;
    case Kind::all_to_all: all_to_all(op); break;
    case Kind::send: pass(op, true); break;
    case Kind::receive: pass(op, false); break;
    case Kind::barrier: barrier(); break;
    case Kind::agree:
    case Kind::gather_texts: gather_texts(op); break;
    case Kind::none: CHECK(false);
  }
  return sent_;
}

void Collectives::clear() {
  to_.assign(at(size_), Part{});
  from_.assign(at(size_), Room{});
}

void Collectives::move() {
  for (std::int64_t r = 0; r < size_; ++r) {
    if (r == rank_ || to_[at(r)].bytes == 0) continue;
    ++sent_.messages;
    sent_.bytes += to_[at(r)].bytes;
  }
  transport_->move(to_, from_);
}

void Collectives::combine(ChunkSink& sink) {
  for (std::int64_t r = 0; r < size_; ++r) {
    if (r == rank_ || to_[at(r)].bytes == 0) continue;
    ++sent_.messages;
    sent_.bytes += to_[at(r)].bytes;
  }
  transport_->combine(to_, sink);
}

void Collectives::gather_in_place(std::byte* data, std::int64_t rows, std::int64_t width,
                                  std::int64_t has_all) {
  clear();
  const std::int64_t first = begin(rows, rank_) * width;
  const Part mine{data + first, begin(rows, rank_ + 1) * width - first};
  for (std::int64_t r = 0; r < size_; ++r) {
    const std::int64_t there = begin(rows, r) * width;
    if (r != has_all) to_[at(r)] = mine;
    if (rank_ != has_all) from_[at(r)] = {data + there, begin(rows, r + 1) * width - there};
  }
  move();
}

void Collectives::all_reduce(const Operation& op) {
  const std::int64_t n = op.to.elements();
  const auto width = static_cast<std::int64_t>(boreal::bytes_of(op.to.dtype));
  std::byte* data = bytes_of(op.to);
  clear();
  for (std::int64_t r = 0; r < size_; ++r)
    to_[at(r)] = {data + begin(n, r) * width, (begin(n, r + 1) - begin(n, r)) * width};
  Summing sum(op.call, data + begin(n, rank_) * width);
  combine(sum);
  gather_in_place(data, n, width);
}

void Collectives::all_gather(const Operation& op) {
  const std::int64_t rows = op.to.shape.rank() == 0 ? 1 : op.to.shape[0];
  const std::int64_t width = rows == 0 ? 0 : op.to.bytes() / rows;
  std::byte* own = bytes_of(op.to) + begin(rows, rank_) * width;
  if (op.from.data != own && op.from.bytes() > 0)
    std::memcpy(own, op.from.data, at(op.from.bytes()));
  gather_in_place(bytes_of(op.to), rows, width);
}

void Collectives::reduce_scatter(const Operation& op) {
  const std::int64_t rows = op.from.shape.rank() == 0 ? 1 : op.from.shape[0];
  const std::int64_t width = rows == 0 ? 0 : op.from.bytes() / rows;
  clear();
  for (std::int64_t r = 0; r < size_; ++r)
    to_[at(r)] = {bytes_of(op.from) + begin(rows, r) * width,
                  (begin(rows, r + 1) - begin(rows, r)) * width};
  Summing sum(op.call, bytes_of(op.to));
  combine(sum);
}

void Collectives::broadcast(const Operation& op) {
  const std::int64_t bytes = op.to.bytes();
  const std::int64_t root = op.call.root;
  std::byte* data = bytes_of(op.to);
  const bool pieces = size_ > 2 && bytes > kSmallBroadcast;
  clear();
  for (std::int64_t r = 0; r < size_ && rank_ == root; ++r)
    to_[at(r)] = pieces ? Part{data + begin(bytes, r), begin(bytes, r + 1) - begin(bytes, r)}
                        : Part{data, bytes};
  if (rank_ != root)
    from_[at(root)] =
        pieces ? Room{data + begin(bytes, rank_), begin(bytes, rank_ + 1) - begin(bytes, rank_)}
               : Room{data, bytes};
  move();
  if (pieces) gather_in_place(data, bytes, 1, root);
}

void Collectives::all_to_all(const Operation& op) {
  const std::int64_t piece = op.from.bytes() / size_;
  clear();
  for (std::int64_t r = 0; r < size_; ++r) {
    to_[at(r)] = {bytes_of(op.from) + r * piece, piece};
    from_[at(r)] = {bytes_of(op.to) + r * piece, piece};
  }
  if (piece > 0) std::memcpy(from_[at(rank_)].data, to_[at(rank_)].data, at(piece));
  move();
}

// The transport is of the two ranks alone.
void Collectives::pass(const Operation& op, bool sends) {
  clear();
  if (sends)
    to_[at(1 - rank_)] = {bytes_of(op.from), op.from.bytes()};
  else
    from_[at(1 - rank_)] = {bytes_of(op.to), op.to.bytes()};
  move();
}

// Dissemination: after round k each rank has heard of 2^k others.
void Collectives::barrier() {
  std::byte token{1};
  std::byte heard{0};
  for (std::int64_t step = 1; step < size_; step *= 2) {
    clear();
    to_[at((rank_ + step) % size_)] = {&token, 1};
    from_[at((rank_ - step + size_) % size_)] = {&heard, 1};
    move();
  }
}

void Collectives::gather_texts(const Operation& op) {
  std::vector<std::int64_t> lengths(at(size_));
  lengths[at(rank_)] = static_cast<std::int64_t>(op.text->size());
  gather_in_place(static_cast<std::byte*>(static_cast<void*>(lengths.data())), size_,
                  sizeof(std::int64_t));
  clear();
  op.texts->assign(at(size_), {});
  (*op.texts)[at(rank_)] = *op.text;
  const auto* mine = static_cast<const std::byte*>(static_cast<const void*>(op.text->data()));
  std::int64_t total = 0;
  for (std::int64_t r = 0; r < size_; ++r) {
    total += lengths[at(r)];
    to_[at(r)] = {mine, lengths[at(rank_)]};
    std::string& text = (*op.texts)[at(r)];
    if (r != rank_) text.resize(at(lengths[at(r)]));
    from_[at(r)] = {static_cast<std::byte*>(static_cast<void*>(text.data())), lengths[at(r)]};
  }
  if (total > 0) move();
}

}  // namespace boreal::dist
