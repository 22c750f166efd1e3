#include "parallel/sharded_state.h"

#include <algorithm>
#include <cstring>

#include "base/philox.h"
#include "dist/failure.h"
#include "kernels/draw.h"
#include "kernels/ops.h"

namespace boreal::parallel {

using tensor::Block;
using tensor::Shape;
using tensor::Tensor;

namespace {

// Calls visit(segment, place of its first element in the flat buffer, elements a row) for the runs
// of a bucket whose gradient is a sum over ranks of which each has a part: norms under sequence
// parallelism, key heads that several ranks hold.
template <class Visit>
void for_summed(const FlatLayout& layout, const Bucket& bucket, Visit visit) {
  for (const nn::Parameter* p : bucket.parameters) {
    const std::int64_t width = p->is_matrix() ? p->local_shape()[1] : 1;
    std::int64_t local = layout.offset(*p);
    for (const nn::Segment& segment : p->segments) {
      if (segment.sum_over != nullptr) visit(segment, local, width);
      local += segment.count * width;
    }
  }
}

// Elements that the summed runs of the fullest bucket take side by side.
std::int64_t largest_sum(const FlatLayout& layout) {
  std::int64_t largest = 0;
  for (const Bucket& bucket : layout.buckets()) {
    std::int64_t elements = 0;
    for_summed(layout, bucket, [&](const nn::Segment& segment, std::int64_t, std::int64_t width) {
      elements += segment.sum_count * width;
    });
    largest = std::max(largest, elements);
  }
  return largest;
}

}  // namespace

ShardedState::ShardedState(const std::vector<nn::Parameter*>& parameters, const DataGroups& groups,
                           const StateOptions& options)
    : parameters_(parameters),
      groups_(groups),
      layout_(parameters, groups.shard.size(), groups.shard.rank(), options.bucket_elements) {
  list_counted_runs();
  open_units_.resize(layout_.buckets().size());
  sums_bytes_ = largest_sum(layout_) * 4;
  if (options.meta) return;
  gradients_ = Block(layout_.elements() * 4);
  masters_ = Block(layout_.slice_elements() * 4);
  if (options.moments == nullptr) moments_ = Block(moments_bytes());
  first_ = options.moments != nullptr ? options.moments : moments_.data();
  second_ = first_ + layout_.slice_elements() * 4;
  if (sums_bytes_ > 0) sums_ = Block(sums_bytes_);
}

ShardedState::~ShardedState() {
  try {
    finish_reduction();
  } catch (const dist::Failure&) {  // told where the world was started
  }
}

void ShardedState::list_counted_runs() {
  for (const Part& part : layout_.parts()) {
    const std::int64_t at = layout_.offset(*part.parameter);
    for (const Region& region : regions_of(*part.parameter, part.begin, part.count)) {
      if (!region.first_holder) continue;
      const Run run{.bucket = layout_.bucket(*part.parameter),
                    .begin = at + region.begin,
                    .count = region.shape.elements()};
      // Padding is zero: what lies on both sides of it is one run.
      if (!counted_.empty() && counted_.back().bucket == run.bucket &&
          run.begin - counted_.back().begin - counted_.back().count < 16)
        counted_.back().count = run.begin + run.count - counted_.back().begin;
      else
        counted_.push_back(run);
    }
  }
}

Tensor ShardedState::flat(std::int64_t begin, std::int64_t count) const {
  return {gradients_.data() == nullptr ? nullptr : gradients_.data() + begin * 4, DType::f32,
          Shape{count}};
}

Tensor ShardedState::gradient(const nn::Parameter& p) {
  const Shape shape = p.local_shape();
  return flat(layout_.offset(p), shape.elements()).reshaped(shape);
}

Tensor ShardedState::all_gradients() const {
  return flat(0, layout_.elements());
}

Tensor ShardedState::slice(std::byte* memory, const Part& part) const {
  return {memory == nullptr ? nullptr : memory + part.offset * 4, DType::f32, Shape{part.count}};
}

Tensor ShardedState::reduced_gradient(const Part& part) const {
  return flat(layout_.offset(*part.parameter) + part.begin, part.count);
}

Tensor ShardedState::whole(std::byte* memory, const nn::Parameter& p) const {
  for (const Part& part : layout_.parts())
    if (part.parameter->index == p.index) {
      CHECK_EQ(part.count, p.local_shape().elements());
      return slice(memory, part).reshaped(p.local_shape());
    }
  CHECK(false, "no slice of {} is here", p.name);
}

Tensor ShardedState::master_slice(const Bucket& bucket) const {
  return {masters_.data() == nullptr ? nullptr : masters_.data() + bucket.slice_offset * 4,
          DType::f32, Shape{bucket.slice}};
}

// Elements [begin, end) of a part, counted from the part's first.
void ShardedState::draw(const device::Context& ctx, const Part& part, std::uint64_t seed,
                        std::int64_t begin, std::int64_t end) const {
  const nn::Parameter& p = *part.parameter;
  const Rng rng(seed, "init", p.name);
  auto* value = static_cast<float*>(master(part).data) + begin;
  for (const Region& region : regions_of(p, part.begin + begin, end - begin)) {
    const std::int64_t rows = region.shape[0];
    const std::int64_t columns = region.shape.elements() / rows;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t global = region.global_index(p, row);
      if (p.init == nn::Init::normal)
        kernels::draw_normals(ctx, rng, static_cast<std::uint64_t>(global), p.init_std, value,
                              columns);
      else
        std::fill_n(value, columns, p.init == nn::Init::ones ? 1.0F : 0.0F);
      value += columns;
    }
  }
}

void ShardedState::forget_squares() {
  for (Run& run : counted_) run.squares.reset();
}

void ShardedState::initialise(const device::Context& ctx, std::uint64_t seed) {
  constexpr std::int64_t kGrain = 1024;
  for (const Part& part : layout_.parts())
    ctx.pool->split(part.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      draw(ctx, part, seed, begin, end);
    });
}

// Cut by parameter, as the products that fill a gradient and the sweep that updates it cut their
// work.
void ShardedState::first_touch(const device::Context& ctx) {
  for (const nn::Parameter* p : parameters_) {
    const Tensor d = gradient(*p);
    tensor::first_touch(ctx, static_cast<std::byte*>(d.data), d.bytes());
  }
  for (const Part& part : layout_.parts())
    for (const Tensor& t : {master(part), first_moment(part), second_moment(part)}) {
      if (moments_.data() == nullptr && t.data != master(part).data) continue;
      tensor::first_touch(ctx, static_cast<std::byte*>(t.data), t.bytes());
    }
}

void ShardedState::start_reduction() {
  reducing_ = true;
  forget_squares();
  for (std::size_t b = 0; b < open_units_.size(); ++b)
    open_units_[b] = static_cast<std::int64_t>(layout_.buckets()[b].units.size());
}

void ShardedState::finished(const device::Context& ctx, std::int64_t unit) {
  if (!reducing_) return;
  for (std::size_t b = 0; b < open_units_.size(); ++b) {
    const Bucket& bucket = layout_.buckets()[b];
    if (std::ranges::find(bucket.units, unit) == bucket.units.end()) continue;
    if (--open_units_[b] == 0) reduce(ctx, bucket);
  }
}

// One all-reduce for all such runs of a bucket. Each rank puts its parts where they lie in the run
// that the ranks together hold, among zeros.
void ShardedState::sum_segments(const device::Context& ctx, const Bucket& bucket) {
  const dist::Group* group = nullptr;
  std::int64_t elements = 0;
  const auto copy = [&](bool in) {
    elements = 0;
    for_summed(layout_, bucket,
               [&](const nn::Segment& segment, std::int64_t local, std::int64_t width) {
                 CHECK(group == nullptr || group == segment.sum_over);
                 group = segment.sum_over;
                 const std::int64_t at = elements + (segment.begin - segment.sum_begin) * width;
                 elements += segment.sum_count * width;
                 if (ctx.is_meta()) return;
                 std::byte* sum = sums_.data() + at * 4;
                 std::byte* mine = gradients_.data() + local * 4;
                 const auto bytes = static_cast<std::size_t>(segment.count * width) * 4;
                 std::memcpy(in ? sum : mine, in ? mine : sum, bytes);
               });
  };
  if (sums_.data() != nullptr)
    kernels::fill_zero(ctx, {sums_.data(), DType::f32, Shape{sums_.bytes() / 4}});
  copy(true);
  if (group == nullptr) return;
  group->all_reduce(ctx, {sums_.data(), DType::f32, Shape{elements}}).wait();
  copy(false);
}

void ShardedState::reduce(const device::Context& ctx, const Bucket& bucket) {
  sum_segments(ctx, bucket);
  if (alone()) {
    const std::int64_t number = &bucket - layout_.buckets().data();
    for (Run& run : counted_)
      if (run.bucket == number) run.squares = kernels::sum_squares(ctx, flat(run.begin, run.count));
    return;
  }
  const Tensor mine = flat(bucket.begin + bucket.slice_begin, bucket.slice);
  events_.push_back(groups_.shard.reduce_scatter(ctx, flat(bucket.begin, bucket.elements), mine,
                                                 dist::Urgency::background));
  events_.push_back(
      groups_.replicate.all_reduce(ctx, mine, dist::Reduce::sum, dist::Urgency::background));
}

void ShardedState::finish_reduction() {
  reducing_ = false;
  // A wait that throws is not repeated.
  while (!events_.empty()) {
    const dist::Event event = events_.back();
    events_.pop_back();
    event.wait();
  }
}

double ShardedState::sum_squares(const device::Context& ctx) const {
  double sum = 0;
  for (const Run& run : counted_)
    sum += run.squares ? *run.squares : kernels::sum_squares(ctx, flat(run.begin, run.count));
  return sum;
}

}  // namespace boreal::parallel
