// Matrix product with a packed right-hand side. C[m, n] (+)= A[m, k] . B[k, n], fp32 sums whatever
// the storage type. The sum over k is one chain in rising order: a row's bits depend neither on the
// other rows, nor on the other columns, nor on the number of threads. A sum cut after a multiple of
// 32 of k and accumulated has the bits of the whole. Slow twin: tests/reference/.
// Few rows with a sum over 8,192 of k and more are fastest into fp32 without bias and residual: the
// sums then wait in C. On the meta device these calls only check shapes. Thread rule: the thread
// that owns ctx.pool.
#pragma once

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::kernels {

// How the weights of a right-hand side lie: in its dtype, or in blocks with a scale (quantized.h).
enum class WeightFormat : std::uint8_t { plain, q8_0, q4_0 };

// B in panels of 64 columns. `storage` is u8 memory of packed_bytes(); a view like any Tensor. With
// a source nothing is kept packed: each product packs the parts that it needs into storage, room
// for a few panels that many matrices may share.
struct Packed {
  tensor::Tensor storage;
  DType dtype = DType::f32;
  std::int64_t k = 0;
  std::int64_t n = 0;
  WeightFormat format = WeightFormat::plain;  // else dtype says nothing
  tensor::Tensor scratch = {};                // of products with blocks
  tensor::Tensor source = {};                 // as pack() takes it
  bool transposed = false;                    // the source
};

std::int64_t packed_bytes(DType dtype, std::int64_t k, std::int64_t n);
Packed packed_view(tensor::Tensor storage, DType dtype, std::int64_t k, std::int64_t n);

// A weight W[n, k] (out x in) becomes B = transpose(W) for the forward product (transposed = true:
// B[i][j] = src[j][i]) or B = W for the gradient of the input (transposed = false). src is fp32 or
// bf16, rounded to dst.dtype.
void pack(const device::Context& ctx, const tensor::Tensor& src, bool transposed, Packed& dst);

// The same B, packed as it is used: worth it where a product has so many rows that packing is
// little beside it. The bits are those of the packed one. source is read by every product. room is
// u8 memory, best of room_bytes(), at least of one panel's packed_bytes().
std::int64_t room_bytes(DType dtype, std::int64_t k, std::int64_t n);
Packed packed_as_used(const tensor::Tensor& source, bool transposed, DType dtype,
                      tensor::Tensor room);

struct Epilogue {
  const tensor::Tensor* bias = nullptr;      // fp32 [n]
  const tensor::Tensor* residual = nullptr;  // [m, n], type of C
  bool accumulate = false;                   // C += ..., C fp32
};

// a and b have one dtype; c is that dtype or fp32. For bf16, k is even.
void gemm(const device::Context& ctx, const tensor::Tensor& a, const Packed& b, tensor::Tensor c,
          const Epilogue& epilogue = {});

// dw[out, in] += dy^T . x, the sum over rows in their order: dy [rows, out] and x [rows, in] of one
// dtype, dw fp32. scratch is u8 memory of weight_gradient_scratch() bytes.
std::int64_t weight_gradient_scratch(const device::Context& ctx, DType dtype, std::int64_t rows,
                                     std::int64_t out, std::int64_t in);
void weight_gradient(const device::Context& ctx, const tensor::Tensor& dy, const tensor::Tensor& x,
                     tensor::Tensor dw, tensor::Tensor scratch);

// dst[c][r] = src[r][c]; dst has at least as many columns as src has rows, the rest is zeroed.
void transpose(const device::Context& ctx, const tensor::Tensor& src, tensor::Tensor dst);

}  // namespace boreal::kernels
