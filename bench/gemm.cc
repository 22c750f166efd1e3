// Matrix products as training and decoding do them. Weights are packed when they are published, so
// their packing is not timed; the gradient of a weight turns and packs its two sides, so that is.
#include "kernels/gemm.h"

#include <fmt/format.h>

#include "bench/session.h"
#include "kernels/ops.h"
#include "tensor/memory.h"

namespace boreal::bench {

namespace {

using kernels::Packed;
using tensor::Block;
using tensor::Shape;
using tensor::Tensor;

// A dense tensor with memory of its own, filled with small numbers that are not all alike.
struct Owned {
  Block block;
  Tensor tensor;

  Owned(const device::Context& ctx, DType dtype, Shape shape)
      : block(shape.elements() * static_cast<std::int64_t>(bytes_of(dtype))),
        tensor(block.data(), dtype, shape) {
    const Block source(shape.elements() * 4);
    auto* values = static_cast<float*>(static_cast<void*>(source.data()));
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      values[i] = static_cast<float>((i * 2654435761LL >> 7) % 255 - 127) / 512.0F;
    kernels::convert(ctx, Tensor(source.data(), DType::f32, shape), tensor);
  }
};

struct PackedOwned {
  Block block;
  Packed packed;

  PackedOwned(const device::Context& ctx, DType dtype, std::int64_t k, std::int64_t n)
      : block(kernels::packed_bytes(dtype, k, n)) {
    packed =
        kernels::packed_view(Tensor(block.data(), DType::u8, Shape{block.bytes()}), dtype, k, n);
    const Owned weight(ctx, dtype, Shape{n, k});
    kernels::pack(ctx, weight.tensor, true, packed);
  }
};

struct Sizes {
  const char* model;
  std::int64_t tokens, in, out;
};

Case base_case(const Session& session, const char* kind, const Sizes& s, DType dtype) {
  const std::string type(name_of(dtype));
  return {.name = fmt::format("gemm.{}.{}.{}", kind, s.model, type),
          .unit = "GFLOP/s",
          .units = 2e-9 * static_cast<double>(s.tokens * s.in * s.out),
          .peak_per_s = session.peak_gflops(dtype),
          .peak_name = type,
          .peer = fmt::format("gemm {} {} {} {} {}", kind, type, s.tokens, s.in, s.out),
          .run = {}};
}

// y = x W^T, or with inner and outer exchanged dx = dy W.
void product(Session& session, const char* kind, const Sizes& s, DType dtype) {
  Case c = base_case(session, kind, s, dtype);
  if (!session.wants(c.name)) return;
  const bool forward = std::string_view(kind) == "forward";
  const std::int64_t k = forward ? s.in : s.out;
  const std::int64_t n = forward ? s.out : s.in;
  const Owned a(session.ctx(), dtype, Shape{s.tokens, k});
  const PackedOwned b(session.ctx(), dtype, k, n);
  // As the head does it: a long sum waits in fp32.
  const Owned y(session.ctx(), k > 8192 ? DType::f32 : dtype, Shape{s.tokens, n});
  c.run = [&] { kernels::gemm(session.ctx(), a.tensor, b.packed, y.tensor); };
  session.measure(c);
}

void weight_gradient(Session& session, const Sizes& s, DType dtype) {
  Case c = base_case(session, "weight_gradient", s, dtype);
  if (!session.wants(c.name)) return;
  const device::Context& ctx = session.ctx();
  const Owned x(ctx, dtype, Shape{s.tokens, s.in});
  const Owned dy(ctx, dtype, Shape{s.tokens, s.out});
  const Owned dw(ctx, DType::f32, Shape{s.out, s.in});
  const Block memory(kernels::weight_gradient_scratch(ctx, dtype, s.tokens, s.out, s.in));
  const Tensor scratch(memory.data(), DType::u8, Shape{memory.bytes()});
  c.run = [&] { kernels::weight_gradient(ctx, dy.tensor, x.tensor, dw.tensor, scratch); };
  session.measure(c);
}

// One token against many weights, more than the caches hold: as fast as memory gives them.
void decode(Session& session, DType dtype) {
  constexpr std::int64_t kWeights = 24;
  const Sizes s{"gpt2", 1, 768, 3072};
  Case c = base_case(session, "decode", s, dtype);
  if (!session.wants(c.name)) return;
  std::vector<PackedOwned> weights;
  weights.reserve(kWeights);
  for (std::int64_t i = 0; i < kWeights; ++i)
    weights.emplace_back(session.ctx(), dtype, s.in, s.out);
  c.unit = "GB/s";
  c.units = 1e-9 * static_cast<double>(kWeights * kernels::packed_bytes(dtype, s.in, s.out));
  c.peak_per_s = session.peak_read_gb_per_s();
  c.peak_name = "memory";
  c.peer += fmt::format(" {}", kWeights);
  const Owned x(session.ctx(), dtype, Shape{1, s.in});
  const Owned y(session.ctx(), dtype, Shape{1, s.out});
  c.run = [&] {
    for (const PackedOwned& w : weights) kernels::gemm(session.ctx(), x.tensor, w.packed, y.tensor);
  };
  session.measure(c);
}

}  // namespace

void run_cases(Session& session) {
  const Sizes quickstart{"quickstart", 512, 256, 1408};
  const Sizes gpt2{"gpt2", 4096, 768, 3072};
  const Sizes head{"gpt2_head", 256, 768, 50304};
  for (const DType dtype : {DType::bf16, DType::f32})
    for (const Sizes& s : {quickstart, gpt2}) {
      product(session, "forward", s, dtype);
      product(session, "input_gradient", s, dtype);
      weight_gradient(session, s, dtype);
    }
  for (const DType dtype : {DType::bf16, DType::f32}) {
    product(session, "forward", head, dtype);
    product(session, "input_gradient", head, dtype);
    weight_gradient(session, head, dtype);
  }
  decode(session, DType::bf16);
  decode(session, DType::f32);
}

}  // namespace boreal::bench
