#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>

#include "kernels/cpu/dispatch.h"

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

// Items are (span, kv head). Threads take them in turn: the assignment varies, the results cannot.
template <class Body>
void over_items(const device::Context& ctx, std::size_t spans, std::int64_t kv_heads,
                const Body& body) {
  const auto items = static_cast<std::int64_t>(spans) * kv_heads;
  std::atomic<std::int64_t> next{0};
  ctx.pool->run([&](std::int64_t part) {
    for (std::int64_t item = next.fetch_add(1); item < items; item = next.fetch_add(1))
      body(static_cast<std::size_t>(item / kv_heads), item % kv_heads, part);
  });
}

void check_shapes(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v) {
  CHECK_EQ(shape.heads % shape.kv_heads, 0);
  CHECK(shape.scale == 0 && shape.window == 0 && shape.soft_cap == 0);
  CHECK(shape.alibi_slopes == nullptr && shape.cos_sin == nullptr);
  CHECK_EQ(q.columns(), shape.heads * shape.head_dim);
  CHECK_EQ(k.columns(), shape.kv_heads * shape.head_dim);
  CHECK_EQ(v.columns(), k.columns());
  CHECK(q.dtype == k.dtype && k.dtype == v.dtype);
}

}  // namespace

std::int64_t attention_forward_scratch(const device::Context& ctx, const AttentionShape& shape) {
  return ctx.threads * cpu::attention_forward_scratch(shape.keys_max, shape.head_dim);
}
std::int64_t attention_backward_scratch(const device::Context& ctx, const AttentionShape& shape) {
  return ctx.threads * cpu::attention_backward_scratch(shape.keys_max, shape.head_dim);
}

void attention_forward(const device::Context& ctx, const AttentionShape& shape,
                       std::span<const AttentionSpan> spans, const Tensor& q, const Tensor& k,
                       const Tensor& v, Tensor o, Tensor* lse, Tensor scratch) {
  check_shapes(shape, q, k, v);
  CHECK_GE(scratch.elements(), attention_forward_scratch(ctx, shape));
  if (ctx.is_meta()) return;
  const std::int64_t each = cpu::attention_forward_scratch(shape.keys_max, shape.head_dim);
  const std::int64_t group = shape.heads / shape.kv_heads;
  const auto run = cpu::table(ctx).attention_forward[cpu::index(q.dtype)];
  over_items(
      ctx, spans.size(), shape.kv_heads,
      [&](std::size_t s, std::int64_t kv_head, std::int64_t part) {
        const AttentionSpan& span = spans[s];
        CHECK_LE(span.keys, shape.keys_max);
        cpu::AttentionArgs args{.q = at(q, span.query_row, kv_head * group * shape.head_dim),
                                .k = at(k, span.kv_row, kv_head * shape.head_dim),
                                .v = at(v, span.kv_row, kv_head * shape.head_dim),
                                .o = at(o, span.query_row, kv_head * group * shape.head_dim),
                                .ldq = q.row_stride,
                                .ldk = k.row_stride,
                                .ldv = v.row_stride,
                                .ldo = o.row_stride,
                                .heads_per_kv = group,
                                .head_dim = shape.head_dim,
                                .keys = span.keys,
                                .queries = span.queries,
                                .query_begin = span.query_begin,
                                .scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim)),
                                .scratch = static_cast<float*>(scratch.data) + part * each};
        if (lse != nullptr) {
          args.lse =
              static_cast<float*>(lse->data) + kv_head * group * lse->row_stride + span.query_row;
          args.lse_stride = lse->row_stride;
        }
        run(args);
      });
}

void attention_backward(const device::Context& ctx, const AttentionShape& shape,
                        std::span<const AttentionSpan> spans, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Tensor& o, const Tensor& lse, const Tensor& d_o,
                        Tensor dq, Tensor dk, Tensor dv, Tensor scratch) {
  check_shapes(shape, q, k, v);
  check_shapes(shape, dq, dk, dv);
  CHECK_EQ(dq.row_stride, q.row_stride);
  CHECK_EQ(dk.row_stride, k.row_stride);
  CHECK_EQ(dv.row_stride, v.row_stride);
  CHECK_EQ(d_o.row_stride, o.row_stride);
  CHECK_GE(scratch.elements(), attention_backward_scratch(ctx, shape));
  if (ctx.is_meta()) return;
  const std::int64_t each = cpu::attention_backward_scratch(shape.keys_max, shape.head_dim);
  const std::int64_t group = shape.heads / shape.kv_heads;
  const auto run = cpu::table(ctx).attention_backward[cpu::index(q.dtype)];
  over_items(ctx, spans.size(), shape.kv_heads,
             [&](std::size_t s, std::int64_t kv_head, std::int64_t part) {
               const AttentionSpan& span = spans[s];
               CHECK_EQ(span.queries, span.keys);
               CHECK_LE(span.keys, shape.keys_max);
               const std::int64_t q_column = kv_head * group * shape.head_dim;
               const std::int64_t k_column = kv_head * shape.head_dim;
               cpu::AttentionArgs args{
                   .q = at(q, span.query_row, q_column),
                   .k = at(k, span.kv_row, k_column),
                   .v = at(v, span.kv_row, k_column),
                   .o = const_cast<std::byte*>(at(o, span.query_row, q_column)),
                   .ldq = q.row_stride,
                   .ldk = k.row_stride,
                   .ldv = v.row_stride,
                   .ldo = o.row_stride,
                   .lse = static_cast<float*>(lse.data) + kv_head * group * lse.row_stride +
                          span.query_row,
                   .lse_stride = lse.row_stride,
                   .heads_per_kv = group,
                   .head_dim = shape.head_dim,
                   .keys = span.keys,
                   .queries = span.queries,
                   .scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim)),
                   .scratch = static_cast<float*>(scratch.data) + part * each,
                   .d_o = at(d_o, span.query_row, q_column),
                   .dq = at(dq, span.query_row, q_column),
                   .dk = at(dk, span.kv_row, k_column),
                   .dv = at(dv, span.kv_row, k_column)};
               run(args);
             });
}

}  // namespace boreal::kernels
