// What a step moves is what the formulas say: Megatron's of tensor parallelism with sequence
// parallelism (Korthikanti et al. 2022), ZeRO's of data parallelism (Rajbhandari et al. 2020).
#include <gtest/gtest.h>

#include "tests/train/mesh_job.h"

namespace boreal::train {
namespace {

constexpr std::int64_t kSequence = 16;

struct Moved {
  std::int64_t calls = 0, messages = 0, bytes = 0;
  bool operator==(const Moved&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Moved& m) {
  return out << m.calls << " calls, " << m.messages << " messages, " << m.bytes << " bytes";
}

Moved moved(const MeshOutcome& outcome, const std::string& axis, const std::string& operation) {
  for (const dist::TrafficRow& row : outcome.traffic)
    if (row.axis == axis && row.operation == operation)
      return {row.calls, row.messages, row.sent_bytes};
  return {};
}

// Elements of the parameters that a rank holds: matrices, vectors.
std::pair<std::int64_t, std::int64_t> elements(const MeshJob& job) {
  const model::Decoder model(config_of(job), dist::Group::imagined(0, job.mesh.tp, "tp"), true);
  std::int64_t matrices = 0;
  std::int64_t vectors = 0;
  for (const nn::Parameter* p : model.parameters())
    (p->is_matrix() ? matrices : vectors) += p->local_shape().elements();
  return {matrices, vectors};
}

// Every parameter starts on a multiple of 16 elements, every bucket ends on one of 16 x ranks.
double padding(const MeshJob& job) {
  const model::Decoder model(config_of(job));
  return 16.0 * static_cast<double>(model.parameters().size() + 2 * 16);
}

class Traffic : public testing::TestWithParam<std::tuple<std::string, DType, int>> {
 protected:
  MeshJob job() const {
    return {.family = std::get<0>(GetParam()),
            .dtype = std::get<1>(GetParam()),
            .mesh = {},
            .steps = 2,
            .rows = 8,
            .bucket_elements = parallel::kBucketElements};
  }
  std::int64_t ranks() const { return std::get<2>(GetParam()); }
  std::int64_t size() const { return static_cast<std::int64_t>(bytes_of(job().dtype)); }
};

TEST_P(Traffic, OfShardedDataParallelismIsOneScatterAndOneGatherOfTheParameters) {
  MeshJob job = this->job();
  job.mesh.dp_shard = ranks();
  job.micro_rows = 1;  // several micro-batches reduce once
  const MeshOutcome outcome = run_in_threads(job);
  const auto [matrices, vectors] = elements(job);
  const double share = static_cast<double>(ranks() - 1) / static_cast<double>(ranks());
  const Moved reduced = moved(outcome, "dp_shard", "reduce_scatter");
  const Moved gathered = moved(outcome, "dp_shard", "all_gather");
  // (d - 1) / d of 4 bytes a gradient, and of each weight in the type that layers compute with.
  EXPECT_NEAR(static_cast<double>(reduced.bytes),
              share * 4 * static_cast<double>(matrices + vectors), share * 4 * padding(job));
  EXPECT_NEAR(static_cast<double>(gathered.bytes),
              share * static_cast<double>(size() * matrices + 4 * vectors),
              share * 4 * padding(job));
  // One of each for the matrices' bucket and the vectors'; to every other rank.
  EXPECT_EQ(reduced.calls, 2);
  EXPECT_EQ(reduced.messages, 2 * (ranks() - 1));
  EXPECT_EQ(gathered.calls, 2);
  EXPECT_EQ(gathered.messages, 2 * (ranks() - 1));
  EXPECT_EQ(moved(outcome, "dp_shard", "all_reduce"), Moved{});
}

TEST_P(Traffic, OfReplicasIsOneAllReduceOfTheGradients) {
  MeshJob job = this->job();
  job.mesh.dp_replicate = ranks();
  const MeshOutcome outcome = run_in_threads(job);
  const auto [matrices, vectors] = elements(job);
  const double share = 2 * static_cast<double>(ranks() - 1) / static_cast<double>(ranks());
  const Moved reduced = moved(outcome, "dp_replicate", "all_reduce");
  EXPECT_NEAR(static_cast<double>(reduced.bytes),
              share * 4 * static_cast<double>(matrices + vectors), share * 4 * padding(job));
  EXPECT_EQ(reduced.calls, 2);
  EXPECT_EQ(reduced.messages, 2 * 2 * (ranks() - 1));
}

TEST_P(Traffic, OfTensorAndSequenceParallelismIsThatOfItsLayers) {
  MeshJob job = this->job();
  job.mesh.tp = ranks();
  job.kv_heads = 4;
  job.micro_rows = 4;
  const std::int64_t micro = 2;  // batches
  const MeshOutcome outcome = run_in_threads(job);
  const model::DecoderConfig config = config_of(job);
  const std::int64_t layers = config.layers;
  const std::int64_t sbh = job.micro_rows * kSequence * config.hidden;
  // A layer gathers twice and scatters twice forward (before and behind attention, before and
  // behind the MLP), the same backward, and gathers its two inputs once more for the weights. The
  // embedding scatters and gathers once, the head gathers and scatters once.
  const std::int64_t gathers = 6 * layers + 2;
  const std::int64_t scatters = 4 * layers + 2;
  const std::int64_t each = sbh * size() * (ranks() - 1) / ranks();
  EXPECT_EQ(moved(outcome, "tp", "all_gather"),
            (Moved{micro * gathers, micro * gathers * (ranks() - 1), micro * gathers * each}));
  EXPECT_EQ(moved(outcome, "tp", "reduce_scatter"),
            (Moved{micro * scatters, micro * scatters * (ranks() - 1), micro * scatters * each}));
  // The loss: the largest logit, and two sums together, in fp32, of each row that counts; and once
  // a step the gradients of the norms.
  const Moved reduced = moved(outcome, "tp", "all_reduce");
  EXPECT_EQ(reduced.calls, micro * 2 + 1);
  EXPECT_EQ(reduced.messages, reduced.calls * 2 * (ranks() - 1));
  const double share = 2 * static_cast<double>(ranks() - 1) / static_cast<double>(ranks());
  const double rows = 0.8 * static_cast<double>(job.rows * kSequence);  // four of five count
  const double norms =
      static_cast<double>((2 * layers + 1) * config.hidden * (job.family == "gpt2" ? 2 : 1));
  EXPECT_NEAR(static_cast<double>(reduced.bytes), share * 4 * (3 * rows + norms), share * 4 * 8);
}

std::string case_name(const testing::TestParamInfo<Traffic::ParamType>& info) {
  return fmt::format("{}_{}_{}ranks", std::get<0>(info.param), name_of(std::get<1>(info.param)),
                     std::get<2>(info.param));
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, Traffic,
    testing::Combine(testing::Values(std::string("llama"), std::string("gpt2")),
                     testing::Values(DType::f32, DType::bf16), testing::Values(2, 4)),
    case_name);

}  // namespace
}  // namespace boreal::train
