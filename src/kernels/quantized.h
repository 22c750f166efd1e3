// Weights of 8 and of 4 bits: blocks of 32 along k, each with one fp16 scale, in the two formats
// that llama.cpp calls Q8_0 and Q4_0 (docs/formats-gguf.md has the bytes). Activations stay fp32 or
// bf16; inside a product each row is rounded to integers of 8 bits in blocks of 32 with an fp32
// scale (its largest magnitude / 127), the products within a block are exact, and the blocks are
// added in rising order in fp32. So a row's bits depend on that row alone, and are the same on
// every instruction set. A row that holds NaN or infinity gives NaN.
// Error of a weight: at most half a scale, i.e. 1/254 (8 bits) or 1/16 (4 bits) of the largest
// magnitude of its block. Slow twin: tests/reference/quantized.h.
// Thread rule: the thread that owns ctx.pool. On the meta device only shapes are checked.
#pragma once

#include <string_view>

#include "kernels/gemm.h"

namespace boreal::kernels {

constexpr std::int64_t kWeightBlock = 32;

std::string_view name_of(WeightFormat format);  // "plain", "q8_0", "q4_0"

// Bytes of a block, and of a row of `columns` weights (the last block is filled with zeros).
std::int64_t block_bytes(WeightFormat format);
std::int64_t block_row_bytes(WeightFormat format, std::int64_t columns);

// Rows of blocks as they lie in files: u8 [rows, block_row_bytes]. src, dst: fp32 or bf16
// [rows, columns].
void to_blocks(const device::Context& ctx, const tensor::Tensor& src, WeightFormat format,
               tensor::Tensor blocks);
void from_blocks(const device::Context& ctx, const tensor::Tensor& blocks, WeightFormat format,
                 tensor::Tensor dst);

// A weight W[n, k] as the right-hand side transpose(W) of gemm(), panels of 64 columns in blocks.
std::int64_t quantized_bytes(WeightFormat format, std::int64_t k, std::int64_t n);
// Memory that products with matrices of up to k rows use; all of a model may share it.
std::int64_t quantized_scratch_bytes(std::int64_t k);
Packed quantized_view(tensor::Tensor storage, tensor::Tensor scratch, WeightFormat format,
                      std::int64_t k, std::int64_t n);
// From fp32 or bf16 [n, k], or from blocks [n, block_row_bytes].
void pack_quantized(const device::Context& ctx, const tensor::Tensor& src, Packed& dst);
void pack_blocks(const device::Context& ctx, const tensor::Tensor& blocks, Packed& dst);

// What gemm() does with such a right-hand side. a fp32 or bf16; accumulate is refused.
void quantized_gemm(const device::Context& ctx, const tensor::Tensor& a, const Packed& b,
                    tensor::Tensor c, const Epilogue& epilogue);

}  // namespace boreal::kernels
