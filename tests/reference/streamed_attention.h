// The slow twin of attention for documents of which no T x T matrix can be kept: the same sums in
// double, tile by tile, in memory linear in T, over one document. The running maximum and sum are
// those of Milakov and Gimelshein 2018; backward makes the weights again out of lse (Dao et al.
// 2022). Thread rule: starts a thread a head, and waits for all.
#pragma once

#include "tests/reference/attention.h"

namespace boreal::reference {

// As attention() and attention_backward() where every row is of one document.
AttentionResult streamed_attention(const AttentionHeads& shape, const Matrix& q, const Matrix& k,
                                   const Matrix& v);
AttentionGradients streamed_attention_backward(const AttentionHeads& shape, const Matrix& q,
                                               const Matrix& k, const Matrix& v,
                                               const AttentionResult& forward, const Matrix& d_o);

}  // namespace boreal::reference
