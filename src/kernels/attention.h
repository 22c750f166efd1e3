// Causal multi-head attention (grouped queries: heads is a multiple of kv_heads), kept apart by
// documents. Memory is linear in the sequence. A query's bits depend on its document's keys alone:
// equal whole, packed behind another document, in chunks, or one token at a time with cached keys.
// Thread rule: the thread that owns ctx.pool.
#pragma once

#include <span>
#include <vector>

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::kernels {

// `queries` rows from query_row on look at keys [kv_row, kv_row + keys) of their document; query i
// stands at key query_begin + i and sees the keys up to itself.
struct AttentionSpan {
  std::int64_t query_row = 0;
  std::int64_t queries = 0;
  std::int64_t query_begin = 0;
  std::int64_t kv_row = 0;
  std::int64_t keys = 0;
};

struct AttentionShape {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  std::int64_t keys_max = 0;  // longest document the scratch must hold
};

// fp32 elements of scratch.
std::int64_t attention_forward_scratch(const device::Context& ctx, const AttentionShape& shape);
std::int64_t attention_backward_scratch(const device::Context& ctx, const AttentionShape& shape);

// q, o [rows, heads * head_dim]; k, v [kv rows, kv_heads * head_dim], any row stride. lse fp32
// [heads, rows] or null.
void attention_forward(const device::Context& ctx, const AttentionShape& shape,
                       std::span<const AttentionSpan> spans, const tensor::Tensor& q,
                       const tensor::Tensor& k, const tensor::Tensor& v, tensor::Tensor o,
                       tensor::Tensor* lse, tensor::Tensor scratch);

// Writes dq, dk, dv (row strides as q, k, v). Spans are whole documents: queries == keys.
void attention_backward(const device::Context& ctx, const AttentionShape& shape,
                        std::span<const AttentionSpan> spans, const tensor::Tensor& q,
                        const tensor::Tensor& k, const tensor::Tensor& v, const tensor::Tensor& o,
                        const tensor::Tensor& lse, const tensor::Tensor& d_o, tensor::Tensor dq,
                        tensor::Tensor dk, tensor::Tensor dv, tensor::Tensor scratch);

}  // namespace boreal::kernels
