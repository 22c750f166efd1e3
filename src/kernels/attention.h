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

// Keys of a tile, and of a page of a paged cache.
constexpr std::int64_t kKeyTile = 64;

// `queries` rows from query_row on look at keys [kv_row, kv_row + keys) of their document; query i
// stands at key query_begin + i and sees the keys up to itself.
struct AttentionSpan {
  std::int64_t query_row = 0;
  std::int64_t queries = 0;
  std::int64_t query_begin = 0;
  std::int64_t kv_row = 0;
  std::int64_t keys = 0;
  // Keys in pages: keys [i * kKeyTile, (i + 1) * kKeyTile) lie from row pages[i] on. Null: in one
  // piece from kv_row on. Forward only.
  const std::int32_t* pages = nullptr;
};

struct AttentionShape {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  std::int64_t keys_max = 0;  // longest document the scratch must hold
  double scale = 0;           // of the scores; 0: 1 / sqrt(head_dim)
  std::int64_t window = 0;    // a query sees this many keys up to itself; 0: all of them
  double soft_cap = 0;        // a score s becomes cap * tanh(s / cap); 0: stays
  // fp32 [heads], "ALiBi" (Press et al. 2022): a score loses slope * (query's position - key's).
  // Null: none.
  const float* alibi_slopes = nullptr;
  // Rotary positions, applied on load to the first cos_sin->columns() features of each head and
  // taken back from dq and dk: fp32 [positions, rotary dim], cosines of rotary dim / 2 angles, then
  // sines; pairs are (i, i + rotary dim / 2). Null: q and k come as they are to be used.
  const tensor::Tensor* cos_sin = nullptr;
  bool keys_rotated = false;  // keys come rotated (from a cache), only queries are turned
};

// fp32 elements of scratch for q, k and v of a type: linear in keys_max, for each thread.
std::int64_t attention_forward_scratch(const device::Context& ctx, const AttentionShape& shape,
                                       DType dtype);
std::int64_t attention_backward_scratch(const device::Context& ctx, const AttentionShape& shape,
                                        DType dtype);

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
