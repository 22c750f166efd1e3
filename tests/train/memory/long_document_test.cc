// One document of 32,768 tokens: the plan is linear in its length, a step stays within it, and loss
// and gradients are the slow twin's.
#include <gtest/gtest.h>

#include "plan/memory_plan.h"
#include "tests/model/rig.h"
#include "tests/reference/streamed_attention.h"

namespace boreal::train {
namespace {

constexpr std::int64_t kTokens = 32768;

// One layer, d 64.
model::DecoderConfig config_of(DType dtype) {
  model::DecoderConfig c = model::tiny_llama(dtype);
  c.hidden = 64;
  c.layers = 1;
  c.heads = 2;
  c.kv_heads = 1;
  c.ffn = 64;
  c.vocab = 40;
  c.context = kTokens;
  return c;
}

plan::MemoryPlan plan_of(std::int64_t tokens, spec::Recompute recompute) {
  return plan::plan_training(model::Decoder(config_of(DType::f32)),
                             {.rows = 1, .sequence = tokens, .recompute = recompute, .threads = 2});
}

TEST(LongDocument, NeedsMemoryLinearInItsLength) {
  for (const auto recompute :
       {spec::Recompute::none, spec::Recompute::selective, spec::Recompute::full}) {
    const plan::MemoryPlan half = plan_of(kTokens / 2, recompute);
    const plan::MemoryPlan whole = plan_of(kTokens, recompute);
    EXPECT_LE(whole.arena_bytes(), 2 * half.arena_bytes());
    // A matrix of T x T would be 4 GiB.
    EXPECT_LT(whole.total_bytes(), std::int64_t{512} << 20);
  }
}

TEST(LongDocument, StreamedTwinIsTheTwin) {
  const reference::AttentionHeads heads{.heads = 4, .kv_heads = 2};
  for (const std::int64_t rows : {1, 5, 64, 65, 300, 700}) {
    const auto draw = [&](const char* name, std::int64_t columns) {
      return reference::random_matrix(name, rows, columns);
    };
    const auto q = draw("q", 24), k = draw("k", 12), v = draw("v", 12), d_o = draw("do", 24);
    const std::vector<std::int64_t> document(static_cast<std::size_t>(rows), 0);
    const auto whole = reference::attention(heads, document, q, k, v);
    const auto streamed = reference::streamed_attention(heads, q, k, v);
    EXPECT_LE(relative_error(streamed.o, whole.o), 1e-13) << rows;
    EXPECT_LE(relative_error(streamed.lse, whole.lse), 1e-13) << rows;
    const auto d = reference::attention_backward(heads, document, q, k, v, d_o);
    const auto ds = reference::streamed_attention_backward(heads, q, k, v, streamed, d_o);
    if (rows > 1) {  // one key alone has no slope
      EXPECT_LE(relative_error(ds.dq, d.dq), 1e-12) << rows;
      EXPECT_LE(relative_error(ds.dk, d.dk), 1e-12) << rows;
    }
    EXPECT_LE(relative_error(ds.dv, d.dv), 1e-12) << rows;
  }
}

TEST(LongDocument, HasTheLossAndTheGradientsOfTheTwin) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "takes minutes";
#endif
  const model::DecoderConfig config = config_of(DType::f32);
  device::Pool pool(2);
  const std::int64_t arena_bytes = plan_of(kTokens, spec::Recompute::none).arena_bytes();
  model::Rig rig(config, device::cpu_context(pool), arena_bytes);
  const auto batch = model::draw_batch("long", {kTokens}, config.vocab);
  const double loss = rig.accumulate(batch);
  EXPECT_EQ(rig.arena().peak_bytes(), arena_bytes);

  reference::DecoderShape shape = model::twin_shape(config);
  shape.streamed = true;
  const auto twin = reference::decoder(shape, rig.weights(), batch);
  EXPECT_NEAR(loss / twin.total, 1, 1e-6);
  const reference::Parameters got = rig.gradients();
  ASSERT_EQ(got.size(), twin.gradients.size());
  // Sums of 32,768 products in fp32, one after the other.
  for (const auto& [name, d] : twin.gradients)
    EXPECT_LE(relative_error(got.at(name), d), 1e-4) << name;
}

}  // namespace
}  // namespace boreal::train
