#include "nn/head.h"

#include <algorithm>

#include "kernels/ops.h"
#include "nn/linear.h"

namespace boreal::nn {

using tensor::ScratchScope;
using tensor::Shape;
using tensor::Tensor;

namespace {
// Entries [begin, end) of a vector.
Tensor part(const Tensor& vector, std::int64_t begin, std::int64_t end) {
  return vector.reshaped(Shape{1, vector.elements()})
      .column_slice(begin, end)
      .reshaped(Shape{end - begin});
}
}  // namespace

Head::Head(const HeadOptions& options, const Parameter* tied, const dist::Group& group,
           LayerIds& ids)
    : norm_(options.name + ".norm", options.norm, options.hidden, options.norm_eps, group, true,
            ids, options.norm_plus_one),
      own_{.name = options.name + ".weight",
           .shape = Shape{options.vocab, options.hidden},
           .init_std = options.init_std,
           .multiplied = true,
           .segments = {even_part(options.vocab, group)}},
      tied_(tied),
      soft_cap_(options.soft_cap),
      group_(group) {}

void Head::visit(std::vector<Parameter*>& parameters) {
  norm_.visit(parameters);
  if (tied_ == nullptr) parameters.push_back(&own_);
}

struct Head::Chunk {
  Tensor x, row, target, seed, loss;
  double z_loss = 0;
};

void Head::loss(const Pass& pass, const Tensor& x, const Targets& targets, Tensor* dx) const {
  const auto span = device::Span::layer(pass.ctx, "head");
  const ScratchScope scope(pass.arena);
  const dist::Sequence sequence(pass.ctx, pass.arena, group_, pass.sequence_parallel);
  const Tensor whole = sequence.gather(x, pass.rows.count);
  Tensor d_whole;
  if (dx != nullptr) {
    d_whole = sequence.partial(*dx, pass.rows.count);
    kernels::fill_zero(pass.ctx, d_whole);
  }
  // A meta pass plans for full chunks: which rows count is not known before the data are.
  const std::int64_t count = pass.ctx.is_meta() ? whole.rows() : targets.count;
  const std::int64_t at_once = chunk_rows(x.dtype, matrix().shape[0]);
  for (std::int64_t begin = 0; begin < count; begin += at_once) {
    if (pass.ctx.is_meta() && begin > 0) break;  // no chunk is larger than the first
    const std::int64_t end = std::min(count, begin + at_once);
    const Chunk chunk{whole,
                      part(targets.row, begin, end),
                      part(targets.id, begin, end),
                      part(targets.seed, begin, end),
                      part(targets.loss, begin, end),
                      targets.z_loss};
    loss_of(pass, chunk, dx != nullptr ? &d_whole : nullptr);
  }
  if (dx != nullptr) sequence.sum(d_whole, *dx);
}

void Head::loss_of(const Pass& pass, const Chunk& at, Tensor* d_whole) const {
  const ScratchScope scope(pass.arena);
  const std::int64_t n = at.row.elements();
  const std::int64_t vocab = matrix().local_shape()[0];
  // A product of bf16 takes its inner dim in pairs: an odd vocabulary gets a column of zeros.
  const std::int64_t padded = at.x.dtype == DType::bf16 ? (vocab + 1) / 2 * 2 : vocab;
  const std::int64_t tape_mark = pass.arena.tape_mark();
  const Tensor chunk = pass.scratch(at.x.dtype, Shape{n, at.x.columns()});
  kernels::gather_rows(pass.ctx, at.x, at.row, false, chunk);
  const Tensor normed = pass.scratch(at.x.dtype, chunk.shape);
  norm_.forward(pass, chunk, normed);
  const Tensor logits = pass.scratch(DType::f32, Shape{n, vocab});
  kernels::gemm(pass.ctx, normed, pass.weights.acquire_packed(matrix(), Form::forward), logits);
  const Tensor lse = pass.scratch(DType::f32, Shape{n});
  cross_entropy(pass, at, logits, lse);
  if (d_whole != nullptr) {
    // The gradient lies where the logits were.
    const Tensor d_padded = kernels::over_logits(logits, at.x.dtype, padded);
    const Tensor d_logits = d_padded.column_slice(0, vocab);
    kernels::cross_entropy_gradient(pass.ctx, logits, at.target, first_id(), at.seed, lse, d_logits,
                                    {.soft_cap = soft_cap_, .z_loss = at.z_loss});
    if (padded != vocab) kernels::fill_zero(pass.ctx, d_padded.column_slice(vocab, padded));
    // The sum over the vocabulary is long: it waits in fp32 (kernels/gemm.h).
    const Tensor d_normed = pass.scratch(at.x.dtype, chunk.shape);
    const Tensor sum = pass.scratch(DType::f32, chunk.shape);
    kernels::gemm(pass.ctx, d_padded, pass.weights.acquire_packed(matrix(), Form::backward), sum);
    kernels::convert(pass.ctx, sum, d_normed);
    // The norm's backward is linear in dy: each rank takes its part of the sum through it.
    const Tensor d_chunk = pass.scratch(at.x.dtype, chunk.shape);
    norm_.backward(pass, d_normed, nullptr, d_chunk);
    if (pass.gradients != nullptr)
      accumulate_weight_gradient(pass, d_logits, normed, pass.gradients->gradient(matrix()));
    kernels::copy_rows(pass.ctx, d_chunk, at.row, *d_whole);
  }
  pass.weights.release(matrix());
  pass.arena.tape_release(tape_mark);
}

void Head::cross_entropy(const Pass& pass, const Chunk& at, const Tensor& logits,
                         Tensor lse) const {
  const ScratchScope scope(pass.arena);
  const std::int64_t n = at.row.elements();
  const Tensor own_max = pass.scratch(DType::f32, Shape{n});
  const Tensor max = pass.scratch(DType::f32, Shape{n});
  const Tensor sums = pass.scratch(DType::f32, Shape{2, n});
  const Tensor sum = sums.row_slice(0, 1).reshaped(Shape{n});
  const Tensor picked = sums.row_slice(1, 2).reshaped(Shape{n});
  kernels::softmax_sums(pass.ctx, logits, at.target, first_id(), own_max, sum, picked,
                        {.soft_cap = soft_cap_});
  kernels::convert(pass.ctx, own_max, max);
  group_.all_reduce(pass.ctx, max, dist::Reduce::max).wait();
  kernels::rescale_sums(pass.ctx, own_max, max, sum);
  group_.all_reduce(pass.ctx, sums).wait();
  kernels::cross_entropy_loss(pass.ctx, max, sum, picked, at.loss, lse);
}

void Head::logits(const Pass& pass, const Tensor& x, const Tensor& row, Tensor logits) const {
  const auto span = device::Span::layer(pass.ctx, "head");
  CHECK(!pass.sequence_parallel);
  const ScratchScope scope(pass.arena);
  const Tensor picked = pass.scratch(x.dtype, Shape{row.elements(), x.columns()});
  kernels::gather_rows(pass.ctx, x, row, false, picked);
  const Tensor normed = pass.scratch(x.dtype, picked.shape);
  norm_.forward(pass, picked, normed);
  const dist::Sequence sequence(pass.ctx, pass.arena, group_, false);
  const Tensor piece = sequence.column_piece(logits);
  kernels::gemm(pass.ctx, normed, pass.weights.acquire_packed(matrix(), Form::forward), piece);
  if (soft_cap_ > 0) kernels::soft_cap(pass.ctx, piece, soft_cap_);
  pass.weights.release(matrix());
  sequence.gather_columns(piece, logits);
}

}  // namespace boreal::nn
