#include "model/decoder.h"

#include <cmath>

namespace boreal::model {

using spec::Recompute;
using tensor::Arena;
using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {

nn::BlockOptions block_options(const DecoderConfig& c, std::int64_t index, bool sequence_parallel) {
  const std::string name = fmt::format("blocks.{}", index);
  // The two projections that write to the residual stream start smaller, so that its variance does
  // not grow with depth.
  const double out_std = c.init_std / std::sqrt(2.0 * static_cast<double>(c.layers));
  return {.name = name,
          .norm = c.norm,
          .norm_eps = c.norm_eps,
          .attention = {.name = name + ".attention",
                        .hidden = c.hidden,
                        .heads = c.heads,
                        .kv_heads = c.kv_heads,
                        .head_dim = c.head_dim(),
                        .bias = c.bias,
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
                  .positions = config.rotary ? 0 : config.context,
                  .tied = config.tied,
                  .init_std = config.init_std},
                 tp_),
      head_({.name = "head",
             .norm = config.norm,
             .norm_eps = config.norm_eps,
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
  if (config.rotary) rotary_ = nn::Rotary(config.context, config.head_dim(), config.rope_theta);
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
  return 6 * matrices + 6 * static_cast<double>(config_.layers * sequence * config_.hidden);
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
