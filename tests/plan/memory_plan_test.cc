#include "plan/memory_plan.h"

#include <gtest/gtest.h>

#include "tests/model/rig.h"

namespace boreal::plan {
namespace {

using model::DecoderConfig;
using model::Rig;
using spec::Recompute;

// The largest batch of this shape: every row one document, every token counting.
reference::DecoderBatch worst_batch(const StepShape& shape, std::int64_t vocab) {
  return model::draw_batch(
      "worst", std::vector<std::int64_t>(static_cast<std::size_t>(shape.rows), shape.sequence),
      vocab);
}

class Plan : public testing::TestWithParam<std::tuple<std::string, DType, Recompute, int>> {
 protected:
  DecoderConfig config() const {
    const auto& [family, dtype, recompute, threads] = GetParam();
    return family == "llama" ? model::tiny_llama(dtype) : model::tiny_gpt2(dtype);
  }
  Recompute recompute() const { return std::get<2>(GetParam()); }
  std::int64_t threads() const { return std::get<3>(GetParam()); }
};

TEST_P(Plan, IsExactlyWhatAStepUses) {
  device::Pool pool(threads());
  const device::Context ctx = device::cpu_context(pool);
  for (const auto& [rows, sequence] : {std::pair{1, 1}, std::pair{3, 70}, std::pair{5, 160}}) {
    for (std::int64_t layers : {1, 2, 5}) {
      DecoderConfig c = config();
      c.layers = layers;
      const StepShape shape{
          .rows = rows, .sequence = sequence, .recompute = recompute(), .threads = threads()};
      const MemoryPlan plan = plan_training(model::Decoder(c), shape);
      // The arena is as large as the plan says: one byte more would be a bug that stops the
      // process.
      Rig rig(c, ctx, plan.arena_bytes());
      const auto batch = worst_batch(shape, c.vocab);
      rig.accumulate(batch, recompute());
      EXPECT_EQ(rig.arena().peak_bytes(), plan.arena_bytes())
          << rows << " x " << sequence << ", " << layers << " blocks";
      rig.evaluate(batch);
      EXPECT_EQ(rig.arena().peak_bytes(), plan.arena_bytes()) << "evaluation needs more";
    }
  }
}

TEST_P(Plan, HoldsForEverySmallerBatch) {
  device::Pool pool(threads());
  const DecoderConfig c = config();
  const StepShape shape{.rows = 4, .sequence = 60, .recompute = recompute(), .threads = threads()};
  const MemoryPlan plan = plan_training(model::Decoder(c), shape);
  Rig rig(c, device::cpu_context(pool), plan.arena_bytes());
  for (const std::vector<std::int64_t>& lengths :
       {std::vector<std::int64_t>{1}, {60}, {20, 40, 60}, std::vector<std::int64_t>(240, 1)})
    rig.accumulate(model::draw_batch("small", lengths, c.vocab), recompute());
  EXPECT_LE(rig.arena().peak_bytes(), plan.arena_bytes());
}

std::string case_name(const testing::TestParamInfo<Plan::ParamType>& info) {
  const auto& [family, dtype, recompute, threads] = info.param;
  return fmt::format(
      "{}_{}_{}_{}threads", family, name_of(dtype),
      recompute == Recompute::none ? "none" : (recompute == Recompute::full ? "full" : "selective"),
      threads);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Plan,
    testing::Combine(testing::Values(std::string("llama"), std::string("gpt2")),
                     testing::Values(DType::f32, DType::bf16),
                     testing::Values(Recompute::none, Recompute::selective, Recompute::full),
                     testing::Values(1, 2)),
    case_name);

TEST(MemoryPlan, CountsWhatTheStateAndTheStoreReallyTake) {
  for (const DecoderConfig& c : {model::tiny_llama(DType::bf16), model::tiny_gpt2(DType::f32)}) {
    const model::Decoder decoder(c);
    const MemoryPlan plan = plan_training(decoder, {.rows = 2, .sequence = 16});
    const parallel::ShardedState state(decoder.parameters(), false);
    const parallel::WeightStore store(decoder.parameters(), c.dtype, true, false, &state);
    EXPECT_EQ(plan.masters_bytes, 4 * state.layout().slice_elements());
    EXPECT_EQ(plan.gradients_bytes, state.all_gradients().bytes());
    EXPECT_EQ(plan.moments_bytes, 8 * state.layout().slice_elements());
    EXPECT_EQ(plan.weights_bytes, store.plain_bytes() + 160 * c.rotary_dim() * 4);
    EXPECT_EQ(plan.packed_bytes, store.packed_bytes());
    std::int64_t sum = 0;
    for (const auto& [name, bytes] : plan.classes()) sum += bytes;
    EXPECT_EQ(plan.total_bytes(), sum);
  }
}

TEST(MemoryPlan, ABlockKeepsWhatItsPolicySays) {
  for (DecoderConfig c : {model::tiny_llama(DType::bf16), model::tiny_gpt2(DType::bf16)}) {
    const auto block_bytes = [&](Recompute recompute) {
      const auto activations = [&](std::int64_t layers) {
        c.layers = layers;
        return plan_training(model::Decoder(c), {.rows = 4, .sequence = 64, .recompute = recompute})
            .activations_bytes;
      };
      return activations(12) - activations(11);
    };
    const std::int64_t width_bytes = 4 * 64 * 2;  // of one number a token
    EXPECT_EQ(block_bytes(Recompute::full), c.hidden * width_bytes);
    // Two norms. The product inside the MLP is never kept: backward makes it on its way.
    EXPECT_EQ(block_bytes(Recompute::none) - block_bytes(Recompute::selective),
              2 * c.hidden * width_bytes);
  }
}

TEST(MemoryPlan, EachBlockCountsByItsOwnPolicy) {
  DecoderConfig c = model::tiny_llama(DType::bf16);
  c.layers = 8;
  const auto activations = [&](const std::string& recompute) {
    return plan_training(model::Decoder(c),
                         {.rows = 4,
                          .sequence = 64,
                          .recompute = spec::parse_recompute(recompute, c.layers).value()})
        .activations_bytes;
  };
  const std::int64_t selective = activations("none") - activations("selective 2");
  const std::int64_t full = activations("none") - activations("full 2");
  EXPECT_GT(full, selective);
  EXPECT_GT(selective, 0);
  EXPECT_EQ(activations("none") - activations("full 0-2, selective 3-4"), 3 * full + 2 * selective);
}

TEST(MemoryPlan, MomentsInAFileAreNoPartOfTheTotal) {
  const model::Decoder decoder(model::tiny_llama(DType::bf16));
  const MemoryPlan memory = plan_training(decoder, {.rows = 2, .sequence = 16});
  const MemoryPlan file =
      plan_training(decoder, {.rows = 2, .sequence = 16, .moments_in_file = true});
  EXPECT_EQ(memory.file_bytes, 0);
  EXPECT_EQ(file.moments_bytes, 0);
  EXPECT_EQ(file.file_bytes, memory.moments_bytes);
  EXPECT_EQ(memory.total_bytes() - file.total_bytes(), memory.moments_bytes);
}

TEST(MemoryPlan, OfALargeModelTakesNoMemoryItself) {
  DecoderConfig c = model::tiny_llama(DType::bf16);
  c.hidden = 8192;
  c.layers = 80;
  c.heads = 64;
  c.kv_heads = 8;
  c.ffn = 28672;
  c.vocab = 128256;
  c.context = 8192;
  const std::int64_t before = device::peak_rss_bytes();
  const MemoryPlan plan = plan_training(model::Decoder(c), {.rows = 1, .sequence = 8192});
  EXPECT_GT(plan.masters_bytes, 4 * std::int64_t{70'000'000'000});
  EXPECT_LT(device::peak_rss_bytes() - before, 64 << 20);
}

}  // namespace
}  // namespace boreal::plan
