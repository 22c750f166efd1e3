// One whole training step: forward, backward, gradient norm, clipping, AdamW, weights published.
// The share of the peak counts the model's FLOPs only (design: 6 x matrices + 6 x layers x T x d a
// token).
#include <fmt/format.h>

#include <cmath>

#include "bench/session.h"
#include "bench/training_case.h"
#include "model/family.h"
#include "optim/schedule.h"
#include "train/replica.h"

namespace boreal::bench {

namespace {

void measure(Session& session, const char* name, const model::DecoderConfig& config,
             std::int64_t rows, std::int64_t sequence) {
  const std::string type(name_of(config.dtype));
  // Without AVX-512 PyTorch has no fast product of bf16: who trains with it there takes fp32.
  model::DecoderConfig theirs = config;
  if (session.ctx().isa < device::Isa::avx512) theirs.dtype = DType::f32;
  Case c{.name = fmt::format("step.{}.{}", name, type),
         .unit = "tokens/s",
         .units = static_cast<double>(rows * sequence),
         .peak_name = type,
         .peer = peer_step(theirs, rows, sequence),
         .run = {},
         .compiled = {"compiled", "compiled-model"}};
  if (!session.wants(c.name)) return;
  train::Replica replica(config,
                         {.rows = rows, .sequence = sequence, .threads = session.ctx().threads},
                         session.pool());
  replica.state().initialise(replica.ctx(), 1);
  replica.publish();
  const tokens::Batch batch = random_batch(rows, sequence, config.vocab);
  const double scale = 1 / static_cast<double>(rows * sequence);
  const spec::OptimSpec optim;
  std::int64_t step = 0;
  c.peak_per_s =
      session.peak_gflops(config.dtype) * 1e9 / replica.model().flops_per_token(sequence);
  c.run = [&] {
    const double loss = replica.accumulate(batch, scale);
    CHECK(std::isfinite(loss), "the loss of step {} is {}", step, loss);
    const double factor = optim::clip_factor(replica.gradient_norm(), optim.clip);
    replica.update(optim, 1e-4, factor, ++step);
  };
  session.measure(c);
}

}  // namespace

void run_cases(Session& session) {
  spec::ModelSpec quickstart;
  quickstart.hidden = 256;
  quickstart.layers = 4;
  quickstart.heads = 4;
  quickstart.ffn = 704;
  quickstart.vocab = 2048;
  measure(session, "quickstart", model::config_of(quickstart, 0).value(), 4, 128);
  measure(session, "small", of_recipe("small", DType::bf16), 8, 256);
  for (const DType dtype : {DType::bf16, DType::f32})
    for (const char* name : {"gpt2_124m", "llama_162m"})
      measure(session, name, of_recipe(name, dtype), 4, 1024);
}

}  // namespace boreal::bench
