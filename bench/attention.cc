// Causal attention forward and backward. FLOPs count the visible half of the scores: two products
// forward, five backward.
#include "kernels/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/philox.h"
#include "bench/session.h"
#include "kernels/ops.h"
#include "tensor/memory.h"

namespace boreal::bench {

namespace {

using tensor::Block;
using tensor::Shape;
using tensor::Tensor;

struct Sizes {
  const char* model;
  std::int64_t rows, sequence, heads, kv_heads, head_dim;
  std::int64_t documents = 1;  // of a row, of equal length
};

// Everything one attention layer reads and writes.
struct Layer {
  kernels::AttentionShape shape;
  std::vector<kernels::AttentionSpan> spans;
  std::vector<Block> memory;
  Tensor qkv, d_qkv, o, d_o, lse, scratch;

  Layer(const device::Context& ctx, const Sizes& s, DType dtype)
      : shape{s.heads, s.kv_heads, s.head_dim, s.sequence / s.documents} {
    const std::int64_t tokens = s.rows * s.sequence;
    const std::int64_t length = shape.keys_max;
    for (std::int64_t row = 0; row < tokens; row += length)
      spans.push_back({row, length, 0, row, length});
    const Shape fused{tokens, (s.heads + 2 * s.kv_heads) * s.head_dim};
    qkv = take(dtype, fused);
    d_qkv = take(dtype, fused);
    o = take(dtype, Shape{tokens, s.heads * s.head_dim});
    d_o = take(dtype, o.shape);
    lse = take(DType::f32, Shape{s.heads, tokens});
    scratch =
        take(DType::f32, Shape{std::max(kernels::attention_forward_scratch(ctx, shape, dtype),
                                        kernels::attention_backward_scratch(ctx, shape, dtype))});
    fill(ctx, qkv, "qkv");
    fill(ctx, d_o, "d_o");
  }

  Tensor q(const Tensor& t) const { return t.column_slice(0, shape.heads * shape.head_dim); }
  Tensor k(const Tensor& t) const {
    return t.column_slice(shape.heads * shape.head_dim,
                          (shape.heads + shape.kv_heads) * shape.head_dim);
  }
  Tensor v(const Tensor& t) const {
    return t.column_slice((shape.heads + shape.kv_heads) * shape.head_dim, t.columns());
  }

  void forward(const device::Context& ctx) {
    kernels::attention_forward(ctx, shape, spans, q(qkv), k(qkv), v(qkv), o, &lse, scratch);
  }
  void backward(const device::Context& ctx) {
    kernels::attention_backward(ctx, shape, spans, q(qkv), k(qkv), v(qkv), o, lse, d_o, q(d_qkv),
                                k(d_qkv), v(d_qkv), scratch);
  }

 private:
  Tensor take(DType dtype, Shape dims) {
    memory.emplace_back(dims.elements() * static_cast<std::int64_t>(bytes_of(dtype)));
    return {memory.back().data(), dtype, dims};
  }
  static void fill(const device::Context& ctx, const Tensor& tensor, const char* name) {
    const Rng rng(1, "bench", name);
    const Block source(tensor.elements() * 4);
    auto* values = static_cast<float*>(static_cast<void*>(source.data()));
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      values[i] = static_cast<float>(rng.uniform(static_cast<std::uint64_t>(i)) * 2 - 1);
    kernels::convert(ctx, Tensor(source.data(), DType::f32, tensor.shape), tensor);
  }
};

void measure(Session& session, const Sizes& s, DType dtype) {
  const std::string type(name_of(dtype));
  const auto name = [&](const char* kind) {
    return fmt::format("attention.{}.{}.{}", kind, s.model, type);
  };
  const std::array kinds = {"forward", "backward", "both"};
  if (std::ranges::none_of(kinds, [&](const char* kind) { return session.wants(name(kind)); }))
    return;
  Layer layer(session.ctx(), s, dtype);
  layer.forward(
      session.ctx());  // backward needs its output also when the filter leaves forward out
  // Multiply-adds of one product over the visible half.
  const double pairs =
      static_cast<double>(s.rows * s.sequence) * static_cast<double>(layer.shape.keys_max + 1) / 2;
  const double product = 2e-9 * pairs * static_cast<double>(s.heads * s.head_dim);
  for (const std::string_view kind : kinds) {
    const int products = kind == "forward" ? 2 : kind == "backward" ? 5 : 7;
    Case c{.name = name(kind.data()),
           .unit = "GFLOP/s",
           .units = products * product,
           .peak_per_s = session.peak_gflops(dtype),
           .peak_name = type,
           .peer = fmt::format("attention {} {} {} {} {} {} {}", kind, type, s.rows, s.sequence,
                               s.heads, s.kv_heads, s.head_dim),
           .run = {}};
    if (s.documents > 1) c.peer.clear();  // packed documents have no call of their own there
    c.run = [&] {
      if (kind != "backward") layer.forward(session.ctx());
      if (kind != "forward") layer.backward(session.ctx());
    };
    session.measure(c);
  }
}

}  // namespace

void run_cases(Session& session) {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    measure(session, {"quickstart", 4, 128, 4, 4, 64}, dtype);
    measure(session, {"gpt2", 4, 1024, 12, 12, 64}, dtype);
  }
  measure(session, {"gpt2_packed", 4, 1024, 12, 12, 64, 8}, DType::bf16);
  measure(session, {"t2048", 1, 2048, 12, 12, 64}, DType::bf16);
  measure(session, {"t8192", 1, 8192, 12, 12, 64}, DType::bf16);
  measure(session, {"grouped", 2, 2048, 16, 4, 128}, DType::bf16);
}

}  // namespace boreal::bench
