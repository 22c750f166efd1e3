#include "model/decoder.h"

#include <cmath>

namespace boreal::model {

using spec::Recompute;
using tensor::Arena;
using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {

// Of the compute type, as the published models have it.
double embedding_scale(const DecoderConfig& c) {
  if (!c.scaled_embedding) return 1;
  const auto root = static_cast<float>(std::sqrt(static_cast<double>(c.hidden)));
  return static_cast<double>(c.dtype == DType::bf16 ? to_float(to_bf16(root)) : root);
}

nn::BlockOptions block_options(const DecoderConfig& c, std::int64_t index, bool sequence_parallel) {
  const std::string name = fmt::format("blocks.{}", index);
  // The two projections that write to the residual stream start smaller, so that its variance does
  // not grow with depth.
  const double out_std = c.init_std / std::sqrt(2.0 * static_cast<double>(c.layers));
  return {.name = name,
          .norm = c.norm,
          .placement = c.placement,
          .norm_eps = c.norm_eps,
          .norm_plus_one = c.norm_plus_one,
          .attention = {.name = name + ".attention",
                        .hidden = c.hidden,
                        .heads = c.heads,
                        .kv_heads = c.kv_heads,
                        .head_dim = c.head_dim(),
                        .bias = c.qkv_bias,
                        .out_bias = c.bias,
                        .scale = c.attention.scalar > 0 ? 1 / std::sqrt(c.attention.scalar) : 0,
                        .window = c.attention.window_of(index),
                        .soft_cap = c.attention.soft_cap,
                        .alibi = c.position == PositionKind::alibi,
                        .qk_norm = c.attention.qk_norm,
                        .norm_eps = c.norm_eps,
                        .init_std = c.init_std,
                        .out_init_std = out_std},
          .mlp = {.name = name + ".mlp",
                  .kind = c.mlp,
                  .hidden = c.hidden,
                  .ffn = c.ffn,
                  .bias = c.bias,
                  .init_std = c.init_std,
                  .out_init_std = out_std},
          .sequence_parallel = sequence_parallel};
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config, const dist::Group& tp, bool sequence_parallel)
    : config_(config),
      tp_(tp),
      sequence_parallel_(sequence_parallel),
      embedding_({.name = "embedding",
                  .vocab = config.vocab,
                  .hidden = config.hidden,
                  .positions = config.position == PositionKind::learned ? config.context : 0,
                  .tied = config.tied,
                  .scale = embedding_scale(config),
                  .init_std = config.init_std},
                 tp_),
      head_({.name = "head",
             .norm = config.norm,
             .norm_eps = config.norm_eps,
             .norm_plus_one = config.norm_plus_one,
             .soft_cap = config.logit_soft_cap,
             .hidden = config.hidden,
             .vocab = config.vocab,
             .init_std = config.init_std},
            config.tied ? &embedding_.table() : nullptr, tp_, ids_) {
  blocks_.reserve(static_cast<std::size_t>(config.layers));
  for (std::int64_t i = 0; i < config.layers; ++i)
    blocks_.emplace_back(block_options(config, i, sequence_parallel), i, tp_, ids_);
  std::int64_t unit = 0;
  const auto visit = [&](auto& layer) {
    const std::size_t begin = parameters_.size();
    layer.visit(parameters_);
    for (std::size_t i = begin; i < parameters_.size(); ++i) parameters_[i]->unit = unit;
    ++unit;
  };
  visit(embedding_);
  for (nn::Block& block : blocks_) visit(block);
  visit(head_);
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    parameters_[i]->index = static_cast<std::int64_t>(i);
  nn::RotaryOptions rope = config.rope;
  rope.dim = config.rotary_dim();
  if (rope.dim > 0) rotary_ = nn::Rotary(config.context, rope);
}

std::int64_t DecoderConfig::rotary_dim() const {
  if (position != PositionKind::rotary) return 0;
  return static_cast<std::int64_t>(static_cast<double>(head_dim()) * rotary_percent);
}

std::int64_t Decoder::parameter_count() const {
  std::int64_t count = 0;
  for (const nn::Parameter* parameter : parameters_) count += parameter->shape.elements();
  return count;
}

double Decoder::flops_per_token(std::int64_t sequence) const {
  double matrices = 0;
  for (const nn::Parameter* parameter : parameters_)
    if (parameter->multiplied) matrices += static_cast<double>(parameter->shape.elements());
  double keys = 0;
  const auto length = static_cast<double>(sequence);
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    const auto window = static_cast<double>(config_.attention.window_of(i));
    keys += window > 0 && window < length ? window - window * window / (2 * length) : length / 2;
  }
  return 6 * matrices + 12 * keys * static_cast<double>(config_.heads * config_.head_dim());
}

void Decoder::prepare(const device::Context& ctx) {
  rotary_.prepare(ctx);
}

TrainBooks Decoder::make_books(const spec::RecomputeByBlock& recompute) const {
  return {.recompute = recompute,
          .tape = nn::Tape(ids_.count()),
          .inputs = std::vector<Tensor>(blocks_.size() + 1),
          .marks = std::vector<std::int64_t>(blocks_.size())};
}

void Decoder::train(const device::Context& ctx, Arena& arena, nn::WeightSource& weights,
                    nn::GradientSink* gradients, const nn::Rows& rows, const nn::Targets& targets,
                    TrainBooks& books) const {
  const bool backward = gradients != nullptr;
  // Else a smaller batch could give a rank more rows than the planned one.
  if (sequence_parallel_) CHECK_EQ(rows.count % tp_.size(), 0);
  nn::Pass pass{.ctx = ctx,
                .arena = arena,
                .weights = weights,
                .rows = rows,
                .tape = backward ? &books.tape : nullptr,
                .gradients = gradients,
                .sequence_parallel = sequence_parallel_};
  nn::Pass untaped = pass;
  untaped.tape = nullptr;

  const ScratchScope scope(arena);
  const std::int64_t tape_begin = arena.tape_mark();
  const dist::Sequence sequence(ctx, arena, tp_, sequence_parallel_);
  const Shape shape{sequence.rows(rows.count), config_.hidden};
  std::vector<Tensor>& x = books.inputs;  // x[i] is the input of block i
  x[0] = backward ? arena.tape(config_.dtype, shape) : arena.scratch(config_.dtype, shape);
  if (!backward) x[1] = arena.scratch(config_.dtype, shape);
  embedding_.forward(pass, x[0]);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (!backward) {
      blocks_[i].forward(pass, rotary(), x[i % 2], x[(i + 1) % 2]);
      continue;
    }
    // The output first: it outlives the block's own tape.
    x[i + 1] = arena.tape(config_.dtype, shape);
    books.marks[i] = arena.tape_mark();
    const Recompute policy = books.recompute.of(i);
    pass.drop_cheap = policy == Recompute::selective;
    blocks_[i].forward(policy == Recompute::full ? untaped : pass, rotary(), x[i], x[i + 1]);
  }
  if (!backward) {
    head_.loss(pass, x[blocks_.size() % 2], targets, nullptr);
    return;
  }
  Tensor dy = arena.scratch(config_.dtype, shape);
  Tensor dx = arena.scratch(config_.dtype, shape);
  pass.drop_cheap = false;
  head_.loss(pass, x.back(), targets, &dy);
  gradients->finished(ctx, units() - 1);
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    const Recompute policy = books.recompute.of(i);
    pass.drop_cheap = policy == Recompute::selective;
    if (policy == Recompute::full) {
      const ScratchScope again(arena);
      const Tensor ignored = arena.scratch(config_.dtype, shape);
      blocks_[i].forward(pass, rotary(), x[i], ignored);
    }
    blocks_[i].backward(pass, rotary(), dy, dx);
    arena.tape_release(books.marks[i]);
    gradients->finished(ctx, static_cast<std::int64_t>(i) + 1);
    std::swap(dy, dx);
  }
  pass.drop_cheap = false;
  embedding_.backward_weight(pass, dy);
  gradients->finished(ctx, 0);
  arena.tape_release(tape_begin);
}

void Decoder::generate(const device::Context& ctx, Arena& arena, nn::WeightSource& weights,
                       const nn::Rows& rows, std::vector<nn::LayerState>* state, const Tensor& row,
                       Tensor logits) const {
  const nn::Pass pass{.ctx = ctx, .arena = arena, .weights = weights, .rows = rows, .state = state};
  const ScratchScope scope(arena);
  const Shape shape{rows.count, config_.hidden};
  const Tensor x[2] = {arena.scratch(config_.dtype, shape), arena.scratch(config_.dtype, shape)};
  embedding_.forward(pass, x[0]);
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    blocks_[i].forward(pass, rotary(), x[i % 2], x[(i + 1) % 2]);
  head_.logits(pass, x[blocks_.size() % 2], row, logits);
}

}  // namespace boreal::model
