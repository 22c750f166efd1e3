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
    : norm_(options.name + ".norm", options.norm, options.hidden, options.norm_eps, ids),
      own_{.name = options.name + ".weight",
           .shape = Shape{options.vocab, options.hidden},
           .init_std = options.init_std,
           .multiplied = true},
      tied_(tied),
      group_(group) {}

void Head::visit(std::vector<Parameter*>& parameters) {
  norm_.visit(parameters);
  if (tied_ == nullptr) parameters.push_back(&own_);
}

void Head::loss(const Pass& pass, const Tensor& x, const Targets& targets, Tensor* dx) const {
  const std::int64_t vocab = matrix().shape[0];
  // A product of bf16 takes its inner dim in pairs: an odd vocabulary gets a column of zeros.
  const std::int64_t padded = x.dtype == DType::bf16 ? (vocab + 1) / 2 * 2 : vocab;
  const bool backward = dx != nullptr;
  if (backward) kernels::fill_zero(pass.ctx, *dx);
  // A meta pass plans for full chunks: which rows count is not known before the data are.
  const std::int64_t count = pass.ctx.is_meta() ? x.rows() : targets.count;
  for (std::int64_t begin = 0; begin < count; begin += kChunk) {
    const std::int64_t end = std::min(count, begin + kChunk);
    const std::int64_t n = end - begin;
    const ScratchScope scope(pass.arena);
    const Tensor chunk = pass.scratch(x.dtype, Shape{n, x.columns()});
    const Tensor row = part(targets.row, begin, end);
    kernels::gather_rows(pass.ctx, x, row, false, chunk);
    const Tensor normed = pass.scratch(x.dtype, chunk.shape);
    const std::int64_t tape_mark = pass.arena.tape_mark();
    norm_.forward(pass, chunk, normed);
    const Tensor logits = pass.scratch(DType::f32, Shape{n, vocab});
    kernels::gemm(pass.ctx, normed, pass.weights.acquire_packed(matrix(), Form::forward), logits);
    const Tensor lse = pass.scratch(DType::f32, Shape{n});
    Tensor d_logits;
    Tensor d_padded;
    if (backward) {
      d_padded = pass.scratch(x.dtype, Shape{n, padded});
      if (padded != vocab) kernels::fill_zero(pass.ctx, d_padded);
      d_logits = d_padded.column_slice(0, vocab);
    }
    kernels::cross_entropy(pass.ctx, logits, part(targets.id, begin, end),
                           part(targets.seed, begin, end), part(targets.loss, begin, end), lse,
                           backward ? &d_logits : nullptr);
    if (backward) {
      const Tensor d_normed = pass.scratch(x.dtype, chunk.shape);
      kernels::gemm(pass.ctx, d_padded, pass.weights.acquire_packed(matrix(), Form::backward),
                    d_normed);
      group_.all_reduce(pass.ctx, d_normed).wait();
      const Tensor d_chunk = pass.scratch(x.dtype, chunk.shape);
      norm_.backward_input(pass, d_normed, nullptr, d_chunk);
      norm_.backward_weight(pass);
      if (pass.gradients != nullptr)
        accumulate_weight_gradient(pass, d_logits, normed, pass.gradients->gradient(matrix()));
      kernels::copy_rows(pass.ctx, d_chunk, row, *dx);
    }
    pass.weights.release(matrix());
    pass.arena.tape_release(tape_mark);
  }
}

void Head::logits(const Pass& pass, const Tensor& x, const Tensor& row, Tensor logits) const {
  const ScratchScope scope(pass.arena);
  const Tensor picked = pass.scratch(x.dtype, Shape{row.elements(), x.columns()});
  kernels::gather_rows(pass.ctx, x, row, false, picked);
  const Tensor normed = pass.scratch(x.dtype, picked.shape);
  norm_.forward(pass, picked, normed);
  kernels::gemm(pass.ctx, normed, pass.weights.acquire_packed(matrix(), Form::forward), logits);
  pass.weights.release(matrix());
}

}  // namespace boreal::nn
