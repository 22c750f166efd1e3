#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>

#include "kernels/cpu/dispatch.h"
#include "kernels/work.h"

namespace boreal::kernels {

using tensor::Tensor;

namespace {

const std::byte* at(const Tensor& t, std::int64_t row, std::int64_t column) {
  return static_cast<const std::byte*>(t.data) +
         (row * t.row_stride + column) * static_cast<std::int64_t>(bytes_of(t.dtype));
}
std::byte* at(Tensor& t, std::int64_t row, std::int64_t column) {
  return static_cast<std::byte*>(t.data) +
         (row * t.row_stride + column) * static_cast<std::int64_t>(bytes_of(t.dtype));
}

void check_shapes(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v) {
  CHECK_EQ(shape.heads % shape.kv_heads, 0);
  CHECK_EQ(q.columns(), shape.heads * shape.head_dim);
  CHECK_EQ(k.columns(), shape.kv_heads * shape.head_dim);
  CHECK_EQ(v.columns(), k.columns());
  CHECK(q.dtype == k.dtype && k.dtype == v.dtype);
  if (shape.cos_sin == nullptr) return;
  CHECK_LE(shape.cos_sin->columns(), shape.head_dim);
  CHECK_EQ(shape.cos_sin->columns() % 2, 0);
}

// What all spans and heads share.
cpu::AttentionArgs common(const AttentionShape& shape) {
  cpu::AttentionArgs args{
      .heads_per_kv = shape.heads / shape.kv_heads,
      .head_dim = shape.head_dim,
      .scale = static_cast<float>(
          shape.scale != 0 ? shape.scale : 1 / std::sqrt(static_cast<double>(shape.head_dim))),
      .window = shape.window,
      .soft_cap = static_cast<float>(shape.soft_cap),
      .keys_rotated = shape.keys_rotated};
  if (shape.cos_sin != nullptr) {
    args.cos_sin = static_cast<const float*>(shape.cos_sin->data);
    args.rotary = shape.cos_sin->columns();
  }
  return args;
}

// Sets what belongs to one span and kv head; `o` may be null.
void place(cpu::AttentionArgs& args, const AttentionShape& shape, const AttentionSpan& span,
           std::int64_t kv_head, const Tensor& q, const Tensor& k, const Tensor& v,
           const Tensor& o) {
  CHECK_LE(span.keys, shape.keys_max);
  CHECK_LE(span.query_begin + span.queries, span.keys);
  if (shape.cos_sin != nullptr) CHECK_LE(span.keys, shape.cos_sin->rows());
  const std::int64_t q_column = kv_head * args.heads_per_kv * shape.head_dim;
  const std::int64_t k_column = kv_head * shape.head_dim;
  const std::int64_t kv_row = span.pages == nullptr ? span.kv_row : 0;
  args.q = at(q, span.query_row, q_column);
  args.k = at(k, kv_row, k_column);
  args.v = at(v, kv_row, k_column);
  args.o = const_cast<std::byte*>(at(o, span.query_row, q_column));
  args.ldq = q.row_stride;
  args.ldk = k.row_stride;
  args.ldv = v.row_stride;
  args.ldo = o.row_stride;
  args.keys = span.keys;
  args.queries = span.queries;
  args.query_begin = span.query_begin;
  args.pages = span.pages;
  if (shape.alibi_slopes != nullptr) args.slopes = shape.alibi_slopes + kv_head * args.heads_per_kv;
}

void place_lse(cpu::AttentionArgs& args, const AttentionSpan& span, std::int64_t kv_head,
               const Tensor& lse) {
  args.lse =
      static_cast<float*>(lse.data) + kv_head * args.heads_per_kv * lse.row_stride + span.query_row;
  args.lse_stride = lse.row_stride;
}

}  // namespace

std::int64_t attention_forward_scratch(const device::Context& ctx, const AttentionShape& shape,
                                       DType dtype) {
  return ctx.threads * cpu::attention_forward_scratch(shape.keys_max, shape.head_dim,
                                                      static_cast<std::int64_t>(bytes_of(dtype)));
}
std::int64_t attention_backward_scratch(const device::Context& ctx, const AttentionShape& shape,
                                        DType dtype) {
  return ctx.threads * cpu::attention_backward_scratch(shape.keys_max, shape.head_dim,
                                                       static_cast<std::int64_t>(bytes_of(dtype)));
}

void attention_forward(const device::Context& ctx, const AttentionShape& shape,
                       std::span<const AttentionSpan> spans, const Tensor& q, const Tensor& k,
                       const Tensor& v, Tensor o, Tensor* lse, Tensor scratch) {
  const device::Span timed(ctx, "attention", attention_flops(shape, spans, 2),
                           2 * q.bytes() + k.bytes() + v.bytes());
  check_shapes(shape, q, k, v);
  CHECK_GE(scratch.elements(), attention_forward_scratch(ctx, shape, q.dtype));
  if (ctx.is_meta()) return;
  const std::int64_t each = attention_forward_scratch(ctx, shape, q.dtype) / ctx.threads;
  const auto run = cpu::table(ctx).attention_forward[cpu::index(q.dtype)];
  const cpu::AttentionArgs all = common(shape);
  // Items are (span, kv head, piece of the queries), taken in turns: who computes one varies, the
  // results cannot. Pieces only where there are few items: each reads the keys again.
  const auto whole = static_cast<std::int64_t>(spans.size()) * shape.kv_heads;
  const std::int64_t pieces = whole >= 2 * ctx.threads ? 1 : 2 * ctx.threads;
  std::atomic<std::int64_t> next{0};
  ctx.pool->run([&](std::int64_t part) {
    cpu::AttentionArgs args = all;
    args.scratch = static_cast<float*>(scratch.data) + part * each;
    for (std::int64_t item = next.fetch_add(1); item < whole * pieces; item = next.fetch_add(1)) {
      const std::int64_t piece = pieces - 1 - item % pieces;  // the longest first
      const std::int64_t kv_head = item / pieces % shape.kv_heads;
      const AttentionSpan& span = spans[static_cast<std::size_t>(item / pieces / shape.kv_heads)];
      const std::int64_t tiles = cpu::lane_tiles(span.queries, args.heads_per_kv);
      args.tile_begin = tiles * piece / pieces;
      args.tile_end = tiles * (piece + 1) / pieces;
      if (args.tile_begin == args.tile_end) continue;
      place(args, shape, span, kv_head, q, k, v, o);
      if (lse != nullptr) place_lse(args, span, kv_head, *lse);
      run(args);
    }
  });
}

void attention_backward(const device::Context& ctx, const AttentionShape& shape,
                        std::span<const AttentionSpan> spans, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Tensor& o, const Tensor& lse, const Tensor& d_o,
                        Tensor dq, Tensor dk, Tensor dv, Tensor scratch) {
  const device::Span timed(ctx, "attention backward", attention_flops(shape, spans, 5),
                           4 * q.bytes() + 2 * k.bytes() + 2 * v.bytes());
  check_shapes(shape, q, k, v);
  check_shapes(shape, dq, dk, dv);
  CHECK(!shape.keys_rotated);
  CHECK_EQ(dq.row_stride, q.row_stride);
  CHECK_EQ(dk.row_stride, k.row_stride);
  CHECK_EQ(dv.row_stride, v.row_stride);
  CHECK_EQ(d_o.row_stride, o.row_stride);
  CHECK_GE(scratch.elements(), attention_backward_scratch(ctx, shape, q.dtype));
  if (ctx.is_meta()) return;
  const std::int64_t each = attention_backward_scratch(ctx, shape, q.dtype) / ctx.threads;
  const auto run = cpu::table(ctx).attention_backward[cpu::index(q.dtype)];
  const cpu::AttentionArgs all = common(shape);
  const auto items = static_cast<std::int64_t>(spans.size()) * shape.kv_heads;
  std::atomic<std::int64_t> next{0};
  ctx.pool->run([&](std::int64_t part) {
    cpu::AttentionArgs args = all;
    args.scratch = static_cast<float*>(scratch.data) + part * each;
    for (std::int64_t item = next.fetch_add(1); item < items; item = next.fetch_add(1)) {
      const AttentionSpan& span = spans[static_cast<std::size_t>(item / shape.kv_heads)];
      const std::int64_t kv_head = item % shape.kv_heads;
      CHECK(span.queries == span.keys && span.pages == nullptr);
      place(args, shape, span, kv_head, q, k, v, o);
      place_lse(args, span, kv_head, lse);
      const std::int64_t q_column = kv_head * args.heads_per_kv * shape.head_dim;
      const std::int64_t k_column = kv_head * shape.head_dim;
      args.d_o = at(d_o, span.query_row, q_column);
      args.dq = at(dq, span.query_row, q_column);
      args.dk = at(dk, span.kv_row, k_column);
      args.dv = at(dv, span.kv_row, k_column);
      run(args);
    }
  });
}

}  // namespace boreal::kernels
