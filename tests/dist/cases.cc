#include "tests/dist/cases.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/hash.h"
#include "tensor/memory.h"

namespace boreal::dist::cases {

namespace {

using tensor::Shape;
using tensor::Tensor;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

float read(const Tensor& t, std::int64_t i) {
  if (t.dtype == DType::bf16) return to_float(static_cast<const bf16_t*>(t.data)[i]);
  return static_cast<const float*>(t.data)[i];
}

void write(const Tensor& t, std::int64_t i, float v) {
  if (t.dtype == DType::bf16)
    static_cast<bf16_t*>(t.data)[i] = to_bf16(v);
  else
    static_cast<float*>(t.data)[i] = v;
}

float rounded(DType dtype, float v) {
  return dtype == DType::bf16 ? to_float(to_bf16(v)) : v;
}

class Runner {
 public:
  Runner(const Group& group, std::vector<std::string>& hashes)
      : group_(group), rank_(group.rank()), n_(group.size()), hashes_(hashes) {}

  std::vector<std::string> wrong;

  void reduce(std::int64_t rows, std::int64_t width, DType dtype) {
    const std::string label = fmt::format("{} {}x{}", name_of(dtype), rows, width);
    for (const Reduce how : {Reduce::sum, Reduce::max}) {
      Tensor x = filled(dtype, Shape{rows, width});
      group_.all_reduce(ctx_, x, how).wait();
      expect(fmt::format("all_reduce {} {}", label, static_cast<int>(how)), x,
             [&](std::int64_t i) { return reduced(dtype, i, how); });
    }
    Tensor whole = filled(dtype, Shape{rows, width});
    const std::int64_t first = group_.begin(rows, rank_) * width;
    Tensor piece = empty(dtype, group_.own_piece(whole).shape);
    group_.reduce_scatter(ctx_, whole, piece).wait();
    expect("reduce_scatter " + label, piece,
           [&](std::int64_t i) { return reduced(dtype, first + i, Reduce::sum); });
    group_.reduce_scatter(ctx_, whole, group_.own_piece(whole)).wait();
    const std::int64_t last = first + piece.elements();
    expect("reduce_scatter in place " + label, whole, [&](std::int64_t i) {
      return i >= first && i < last ? reduced(dtype, i, Reduce::sum) : own(dtype, rank_, i);
    });
  }

  void gather(std::int64_t rows, std::int64_t width, DType dtype) {
    const std::string label = fmt::format("{} {}x{}", name_of(dtype), rows, width);
    Tensor source = filled(dtype, Shape{rows, width});
    Tensor whole = empty(dtype, Shape{rows, width});
    const auto owner = [&](std::int64_t i) {
      std::int64_t r = 0;
      while (i >= group_.begin(rows, r + 1) * width) ++r;
      return own(dtype, r, i);
    };
    group_.all_gather(ctx_, group_.own_piece(source), whole).wait();
    expect("all_gather " + label, whole, owner);
    group_.all_gather(ctx_, group_.own_piece(source), source).wait();
    expect("all_gather in place " + label, source, owner);
    for (const std::int64_t root : {std::int64_t{0}, n_ - 1}) {
      Tensor x = filled(dtype, Shape{rows, width});
      group_.broadcast(ctx_, x, root).wait();
      expect(fmt::format("broadcast {} {}", label, root), x,
             [&](std::int64_t i) { return own(dtype, root, i); });
    }
  }

  void exchange(std::int64_t rows_each, std::int64_t width, DType dtype) {
    const std::string label = fmt::format("{} {}x{}", name_of(dtype), rows_each, width);
    const std::int64_t piece = rows_each * width;
    Tensor from = filled(dtype, Shape{n_ * rows_each, width});
    Tensor to = empty(dtype, from.shape);
    group_.all_to_all(ctx_, from, to).wait();
    expect("all_to_all " + label, to,
           [&](std::int64_t i) { return own(dtype, i / piece, rank_ * piece + i % piece); });
    // Each to the next but the last: a chain.
    Tensor x = filled(dtype, Shape{rows_each, width});
    if (rank_ > 0) group_.receive(ctx_, x, rank_ - 1).wait();
    if (rank_ + 1 < n_) group_.send(ctx_, x, rank_ + 1).wait();
    expect("send and receive " + label, x, [&](std::int64_t i) { return own(dtype, 0, i); });
  }

  void small() {
    group_.barrier();
    double total = 0;
    for (std::int64_t r = 0; r < n_; ++r) total += 1.0 / static_cast<double>(r + 3);
    if (group_.sum(1.0 / static_cast<double>(rank_ + 3)) != total) wrong.emplace_back("sum");
    const auto text = [](std::int64_t r) { return std::string(at(r * 1000 % 3001), 'a'); };
    const std::vector<std::string> texts = group_.gather_texts(text(rank_));
    for (std::int64_t r = 0; r < n_; ++r)
      if (texts.size() != at(n_) || texts[at(r)] != text(r)) wrong.emplace_back("gather_texts");
    if (!group_.agree(Done{}).ok()) wrong.emplace_back("agree where all is well");
    const Status agreed =
        group_.agree(rank_ == n_ - 1 ? Status(refused("rank {} refuses", rank_)) : Status(Done{}));
    if (agreed.ok() || agreed.error().kind != ErrorKind::refused ||
        agreed.error().message != fmt::format("rank {} refuses", n_ - 1))
      wrong.emplace_back("agree on an error");
  }

 private:
  float own(DType dtype, std::int64_t rank, std::int64_t i) const {
    return rounded(dtype, value(rank, i, n_));
  }
  float reduced(DType dtype, std::int64_t i, Reduce how) const {
    float total = own(dtype, 0, i);
    for (std::int64_t r = 1; r < n_; ++r) {
      const float next = own(dtype, r, i);
      total = how == Reduce::sum ? total + next : std::max(total, next);
    }
    return rounded(dtype, total);
  }

  Tensor empty(DType dtype, Shape shape) {
    memory_.emplace_back(shape.elements() * static_cast<std::int64_t>(bytes_of(dtype)) + 64);
    return {memory_.back().data(), dtype, shape};
  }
  Tensor filled(DType dtype, Shape shape) {
    if (memory_.size() > 40) memory_.clear();
    Tensor t = empty(dtype, shape);
    for (std::int64_t i = 0; i < t.elements(); ++i) write(t, i, value(rank_, i, n_));
    return t;
  }

  template <class Twin>
  void expect(const std::string& name, const Tensor& got, const Twin& twin) {
    for (std::int64_t i = 0; i < got.elements(); ++i) {
      const float right = twin(i);
      const float mine = read(got, i);
      if (std::memcmp(&right, &mine, sizeof right) == 0) continue;
      wrong.push_back(fmt::format("{}: element {} is {}, not {}", name, i, mine, right));
      break;
    }
    const std::string_view bits(static_cast<const char*>(got.data), at(got.bytes()));
    hashes_.push_back(
        fmt::format("{} of {} rank {}: {}", name, group_.axis(), rank_, xxh3_128_hex(bits)));
  }

  device::Pool pool_{1};
  device::Context ctx_ = device::cpu_context(pool_);
  Group group_;
  std::int64_t rank_, n_;
  std::vector<std::string>& hashes_;
  std::vector<tensor::Block> memory_;
};

std::vector<std::string> run_group(const Group& group, std::vector<std::string>& hashes) {
  Runner runner(group, hashes);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t rows : {0, 1, 2, 5, 64}) {
      runner.reduce(rows, 3, dtype);
      runner.gather(rows, 3, dtype);
      runner.exchange(rows, 3, dtype);
    }
    // More than one chunk of each transport, and not a round number.
    const std::int64_t rows = dtype == DType::f32 ? 1031 : 131;
    runner.reduce(rows, 401, dtype);
    runner.gather(rows, 401, dtype);
    runner.exchange(rows / 5, 401, dtype);
  }
  runner.small();
  return runner.wrong;
}

}  // namespace

float value(std::int64_t rank, std::int64_t i, std::int64_t salt) {
  const auto mixed = static_cast<std::uint32_t>(
      (static_cast<std::uint64_t>(rank * 7919 + i * 104729 + salt * 31) * 2654435761U) >> 7);
  const float fraction = static_cast<float>(mixed % 20011) / 10007.0F - 1.0F;
  return std::ldexp(fraction, static_cast<int>(mixed % 13) - 6);
}

std::vector<std::string> run_all(World& world, std::vector<std::string>& hashes) {
  std::vector<std::string> wrong = run_group(world.all(), hashes);
  // Two groups of which every rank is in one, one after the other's cut.
  if (world.size() < 4) return wrong;
  for (const std::int64_t stride : {1, 2}) {
    std::vector<std::int64_t> ranks;
    for (std::int64_t r = 0; r < world.size(); ++r) {
      const bool together = stride == 1 ? r / 2 == world.rank() / 2 : r % 2 == world.rank() % 2;
      if (together) ranks.push_back(r);
    }
    const Group& group = world.group(ranks, stride == 1 ? "tp" : "dp_shard");
    for (std::string& each : run_group(group, hashes)) wrong.push_back(std::move(each));
  }
  return wrong;
}

}  // namespace boreal::dist::cases
