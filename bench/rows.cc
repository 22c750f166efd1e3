// What a step does beside products and attention: residual + norm, SwiGLU, the head with its loss,
// clipping with AdamW. Bytes count each operand once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/session.h"
#include "bench/training_case.h"
#include "kernels/ops.h"
#include "tensor/memory.h"
#include "train/replica.h"

namespace boreal::bench {

namespace {

using tensor::Block;
using tensor::Shape;
using tensor::Tensor;

constexpr std::int64_t kRows = 4096;

// Tensors with memory of their own, of small numbers that are not all alike.
class Owned {
 public:
  explicit Owned(const device::Context& ctx) : ctx_(ctx) {}

  Tensor take(DType dtype, Shape shape) {
    blocks_.emplace_back(shape.elements() * static_cast<std::int64_t>(bytes_of(dtype)));
    const Tensor made(blocks_.back().data(), dtype, shape);
    const Block source(shape.elements() * 4);
    auto* values = static_cast<float*>(static_cast<void*>(source.data()));
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      values[i] = static_cast<float>((i * 2654435761LL >> 7) % 255 - 127) / 128.0F;
    kernels::convert(ctx_, Tensor(source.data(), DType::f32, shape), made);
    return made;
  }

 private:
  const device::Context& ctx_;
  std::vector<Block> blocks_;
};

Case memory_case(const Session& session, const std::string& name, std::int64_t bytes,
                 const std::string& peer) {
  return {.name = name,
          .unit = "GB/s",
          .units = static_cast<double>(bytes) * 1e-9,
          .peak_per_s = session.peak_read_gb_per_s(),
          .peak_name = "memory",
          .peer = peer,
          .run = {},
          .compiled = {"compiled"}};
}

void residual_norm(Session& session, std::int64_t width) {
  const Shape shape{kRows, width};
  Case c = memory_case(session, fmt::format("rows.residual_rms_norm.{}.bf16", width),
                       kRows * width * 2 * 8, fmt::format("residual_norm {} {}", kRows, width));
  if (!session.wants(c.name)) return;
  const device::Context& ctx = session.ctx();
  Owned owned(ctx);
  const Tensor x = owned.take(DType::bf16, shape);
  const Tensor y = owned.take(DType::bf16, shape);
  const Tensor dy = owned.take(DType::bf16, shape);
  const Tensor dres = owned.take(DType::bf16, shape);
  const Tensor dx = owned.take(DType::bf16, shape);
  const Tensor w = owned.take(DType::f32, Shape{width});
  const Tensor residual = owned.take(DType::bf16, shape);
  const Tensor sum = owned.take(DType::bf16, shape);
  Tensor rstd = owned.take(DType::f32, Shape{kRows});
  const kernels::NormWeights weights{
      .dw = owned.take(DType::f32, Shape{width}),
      .db = {},
      .partials = owned.take(DType::f32, kernels::norm_partials(kRows, w, false))};
  c.run = [&] {
    kernels::rms_norm(ctx, x, w, y, &rstd, 1e-5, {.residual = &residual, .sum = sum});
    kernels::rms_norm_backward(ctx, dy, sum, w, rstd, &dres, dx, &weights);
  };
  session.measure(c);
}

void swiglu(Session& session, std::int64_t ffn) {
  Case c = memory_case(session, fmt::format("rows.swiglu.{}.bf16", ffn), kRows * ffn * 2 * 8,
                       fmt::format("swiglu {} {}", kRows, ffn));
  if (!session.wants(c.name)) return;
  const device::Context& ctx = session.ctx();
  Owned owned(ctx);
  const Tensor gate_up = owned.take(DType::bf16, Shape{kRows, 2 * ffn});
  const Tensor d_gate_up = owned.take(DType::bf16, gate_up.shape);
  const Tensor y = owned.take(DType::bf16, Shape{kRows, ffn});
  const Tensor dy = owned.take(DType::bf16, y.shape);
  c.run = [&] {
    kernels::swiglu(ctx, gate_up, y);
    kernels::swiglu_backward(ctx, dy, gate_up, d_gate_up);
  };
  session.measure(c);
}

train::Replica replica_of(Session& session, const model::DecoderConfig& config,
                          std::int64_t sequence) {
  return {
      config, {.rows = 1, .sequence = sequence, .threads = session.ctx().threads}, session.pool()};
}

// A model without blocks: the embedding's gather and scatter are in it, one part in a hundred.
void head(Session& session) {
  constexpr std::int64_t kWidth = 768;
  constexpr std::int64_t kVocab = 50304;
  Case c{.name = "rows.head_cross_entropy.bf16",
         .unit = "GFLOP/s",
         .units = 6e-9 * static_cast<double>(kRows * kWidth * kVocab),
         .peak_per_s = session.peak_gflops(DType::bf16),
         .peak_name = "bf16",
         .peer = fmt::format("head {} {} {}", kRows, kWidth, kVocab),
         .run = {},
         .compiled = {"compiled"}};
  if (!session.wants(c.name)) return;
  model::DecoderConfig config = of_recipe("llama_162m", DType::bf16);
  config.layers = 0;
  config.vocab = kVocab;
  config.tied = true;
  config.context = kRows;
  train::Replica replica = replica_of(session, config, kRows);
  replica.state().initialise(replica.ctx(), 1);
  replica.publish();
  const tokens::Batch batch = random_batch(1, kRows, kVocab);
  c.run = [&] {
    const double loss = replica.accumulate(batch, 1 / static_cast<double>(kRows));
    CHECK(std::isfinite(loss), "the loss is {}", loss);
  };
  session.measure(c);
}

// As PyTorch does it, and with what our next forward wants of the new weights.
void optimizer(Session& session, bool publish) {
  constexpr std::int64_t kBytes = 32;  // a parameter: gradient twice, three read and written
  const model::DecoderConfig config = gpt2_124m();
  Case c = memory_case(session, publish ? "rows.clip_adamw_publish" : "rows.clip_adamw", 0,
                       "optimizer" + peer_step(config, 1, 1024).substr(4));
  c.compiled.clear();
  if (!session.wants(c.name)) return;
  const device::Context& ctx = session.ctx();
  train::Replica replica = replica_of(session, config, 8);
  replica.state().initialise(replica.ctx(), 1);
  c.units = 1e-9 * static_cast<double>(replica.model().parameter_count() * kBytes);
  // Pages that nobody wrote would all be the same one.
  const Tensor gradients = replica.state().all_gradients();
  std::fill_n(static_cast<float*>(gradients.data), gradients.elements(), 1e-4F);
  std::int64_t step = 0;
  if (publish) {
    c.run = [&] {
      const double norm = replica.gradient_norm();
      replica.update({}, 1e-4, norm > 1 ? 1 / norm : 1, ++step);
      replica.settle();
    };
  } else {
    const parallel::ShardedState& state = replica.state();
    c.run = [&] {
      const double norm = std::sqrt(state.sum_squares(ctx));
      for (const parallel::Part& part : state.layout().parts())
        kernels::adamw(ctx, state.master(part), state.reduced_gradient(part),
                       state.first_moment(part), state.second_moment(part),
                       {.lr = 1e-4,
                        .weight_decay = 0.1,
                        .grad_scale = norm > 1 ? 1 / norm : 1,
                        .step = ++step});
    };
  }
  session.measure(c);
}

}  // namespace

void run_cases(Session& session) {
  for (const std::int64_t width : {768, 2048}) residual_norm(session, width);
  swiglu(session, 2048);
  head(session);
  optimizer(session, false);
  optimizer(session, true);
}

}  // namespace boreal::bench
