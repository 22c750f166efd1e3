#include "train/replica.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace boreal::train {

using tensor::Shape;
using tensor::Tensor;

namespace {
const dist::DeviceMesh& alone() {
  static const dist::DeviceMesh mesh;
  return mesh;
}
}  // namespace

Replica::Replica(const model::DecoderConfig& config, const plan::StepShape& shape,
                 device::Pool& pool)
    : Replica(config, shape, pool, alone()) {}

Replica::Replica(const model::DecoderConfig& config, const plan::StepShape& shape,
                 device::Pool& pool, const dist::DeviceMesh& mesh, std::byte* moments)
    : ctx_(device::cpu_context(pool)),
      mesh_(mesh),
      model_(config, mesh.tp(), shape.sequence_parallel),
      shape_(shape),
      plan_(plan::plan_training(model_, shape, {mesh.dp_shard(), mesh.dp_replicate()})),
      state_(model_.parameters(), {mesh.dp_shard(), mesh.dp_replicate()},
             {.bucket_elements = shape.bucket_elements, .moments = moments}),
      weights_(model_.parameters(), config.dtype, true, false, &state_),
      arena_(plan_.arena_bytes()),
      books_(model_.make_books(shape.recompute)) {
  CHECK_EQ(shape.moments_in_file, moments != nullptr);
  state_.first_touch(ctx_);
  weights_.first_touch(ctx_);
  tensor::first_touch(ctx_, arena_.block());
  const std::int64_t tokens = shape.rows * shape.sequence;
  feed_ = tensor::Block(tokens * 4 * 7);
  std::int64_t used = 0;
  const auto take = [&](DType dtype) {
    Tensor tensor(feed_.data() + used * tokens * 4, dtype, Shape{tokens});
    ++used;
    return tensor;
  };
  rows_.id = take(DType::i32);
  rows_.position = take(DType::i32);
  rows_.keys_max = shape.sequence;
  rows_.spans.reserve(static_cast<std::size_t>(tokens));
  targets_.row = take(DType::i32);
  targets_.id = take(DType::i32);
  targets_.seed = take(DType::f32);
  targets_.loss = take(DType::f32);
  weight_ = take(DType::f32);
  model_.prepare(ctx_);
}

void Replica::record_in(device::Profile* profile) {
  ctx_.profile = profile;
  ctx_.pool->watch(profile);
}

void spans_of(const tokens::Batch& batch, std::int64_t first, std::int64_t rows,
              std::vector<kernels::AttentionSpan>& spans) {
  spans.clear();
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int32_t* begin_of = batch.doc_begin.data() + (first + r) * batch.sequence;
    for (std::int64_t begin = 0; begin < batch.sequence;) {
      std::int64_t end = begin + 1;
      while (end < batch.sequence && begin_of[end] == begin_of[begin]) ++end;
      const std::int64_t row = r * batch.sequence + begin;
      spans.push_back({.query_row = row,
                       .queries = end - begin,
                       .query_begin = 0,
                       .kv_row = row,
                       .keys = end - begin});
      begin = end;
    }
  }
}

void Replica::load(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows,
                   double scale) {
  const std::int64_t tokens = rows * batch.sequence;
  const std::int64_t first = begin * batch.sequence;
  CHECK_LE(tokens, shape_.rows * shape_.sequence);
  CHECK_LE(batch.sequence, shape_.sequence);
  const auto bytes = static_cast<std::size_t>(tokens) * 4;
  rows_.count = tokens;
  const auto cut = [&](Tensor& tensor, std::int64_t count) {
    tensor.shape = Shape{count}, tensor.row_stride = count;
  };
  cut(rows_.id, tokens);
  cut(rows_.position, tokens);
  std::memcpy(rows_.id.data, batch.input.data() + first, bytes);
  std::memcpy(rows_.position.data, batch.position.data() + first, bytes);
  spans_of(batch, begin, rows, rows_.spans);
  std::int64_t n = 0;
  for (std::int64_t i = 0; i < tokens; ++i) {
    const auto at = static_cast<std::size_t>(first + i);
    const float weight = batch.weight[at];
    if (weight == 0) continue;
    static_cast<std::int32_t*>(targets_.row.data)[n] = static_cast<std::int32_t>(i);
    static_cast<std::int32_t*>(targets_.id.data)[n] = batch.target[at];
    static_cast<float*>(targets_.seed.data)[n] = static_cast<float>(weight * scale);
    static_cast<float*>(weight_.data)[n] = weight;
    ++n;
  }
  for (Tensor* tensor : {&targets_.row, &targets_.id, &targets_.seed, &targets_.loss, &weight_})
    cut(*tensor, n);
  targets_.count = n;
}

double Replica::run(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows, double scale,
                    nn::GradientSink* gradients) {
  load(batch, begin, rows, scale);
  model_.train(ctx_, arena_, weights_, gradients, rows_, targets_, books_);
  return kernels::weighted_sum(ctx_, targets_.loss, weight_);
}

double Replica::accumulate(const tokens::Batch& batch, std::int64_t begin, std::int64_t rows,
                           double scale, bool last) {
  if (last) state_.start_reduction();
  return run(batch, begin, rows, scale, &state_) * scale;
}
double Replica::evaluate(const tokens::Batch& batch) {
  return run(batch, 0, batch.rows, 1, nullptr);
}

double Replica::gradient_norm() {
  state_.finish_reduction();
  return std::sqrt(mesh_.state().sum(state_.sum_squares(ctx_)));
}

std::string Replica::first_non_finite() const {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  // The place in the model's order of the first that is not, gradients before weights.
  const auto first = [&](auto value_of) {
    std::int64_t index = kNone;
    for (const parallel::Part& part : state_.layout().parts())
      if (part.parameter->index < index &&
          !std::isfinite(kernels::sum_squares(ctx_, value_of(part))))
        index = part.parameter->index;
    return index;
  };
  const auto of_all_ranks = [&](std::int64_t mine) {
    for (const std::string& text : mesh_.all().gather_texts(std::to_string(mine)))
      mine = std::min<std::int64_t>(mine, std::stoll(text));
    return mine;
  };
  const auto name = [&](std::int64_t index) {
    return model_.parameters()[static_cast<std::size_t>(index)]->name;
  };
  const std::int64_t gradient =
      of_all_ranks(first([&](const auto& part) { return state_.reduced_gradient(part); }));
  if (gradient != kNone) return "gradient of " + name(gradient);
  const std::int64_t weight =
      of_all_ranks(first([&](const auto& part) { return state_.master(part); }));
  return weight != kNone ? "weight " + name(weight) : "";
}

void Replica::update(const spec::OptimSpec& optim, double lr, double grad_scale,
                     std::int64_t step) {
  weights_.finish_publish();  // it reads the masters
  // A rank alone holds all of a parameter and of its gradient: one sweep does everything.
  const bool alone = state_.alone();
  for (const parallel::Part& part : state_.layout().parts())
    kernels::adamw(ctx_, state_.master(part), state_.reduced_gradient(part),
                   state_.first_moment(part), state_.second_moment(part),
                   {.lr = lr,
                    .beta1 = optim.betas[0],
                    .beta2 = optim.betas[1],
                    .eps = optim.eps,
                    .weight_decay = part.parameter->decay ? optim.weight_decay : 0,
                    .grad_scale = grad_scale,
                    .step = step},
                   alone ? kernels::Gradient::zero : kernels::Gradient::keep,
                   alone ? weights_.rounded_table(*part.parameter) : nullptr);
  if (alone)
    state_.forget_squares();
  else
    zero_gradients();
  using Tables = parallel::WeightStore::Tables;
  weights_.start_publish(ctx_, state_, alone ? Tables::written : Tables::make);
}

void Replica::zero_gradients() {
  state_.forget_squares();
  kernels::fill_zero(ctx_, state_.all_gradients());
}

}  // namespace boreal::train
