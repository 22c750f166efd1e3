// A replica against PyTorch's numbers, without PyTorch: tests/golden/model/. What is compared and
// where the bounds come from: docs/oracle.md.
#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <tuple>

#include "optim/schedule.h"
#include "tests/train/golden_model.h"

namespace boreal::train {
namespace {

// max|a - b| / max|b|.
template <class T>
double relative_error(std::span<const T> a, std::span<const T> b) {
  CHECK_EQ(a.size(), b.size());
  double error = 0;
  double scale = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto expected = static_cast<double>(b[i]);
    const double difference = std::abs(static_cast<double>(a[i]) - expected);
    // A NaN counts as infinitely wrong.
    error = difference <= error ? error : std::isnan(difference) ? INFINITY : difference;
    scale = std::max(scale, std::abs(expected));
  }
  CHECK(scale > 0, "the golden numbers are all zero");
  return error / scale;
}
double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  return relative_error(std::span(a), std::span(b));
}
double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  return relative_error(std::span(a), std::span(b));
}

struct Trained {
  std::vector<double> losses;
  std::vector<double> gradient_norms;
};

Trained train_as_pytorch_did(GoldenModel& golden) {
  Trained trained;
  const std::size_t steps = golden.figures(DType::f32).losses.size();
  for (std::size_t step = 0; step < steps; ++step) {
    const tokens::Batch& batch = golden.batches()[step % golden.batches().size()];
    trained.losses.push_back(golden.accumulate(batch, batch.rows));
    trained.gradient_norms.push_back(golden.replica().gradient_norm());
    const double clip = optim::clip_factor(trained.gradient_norms.back(), golden.optim().clip);
    golden.replica().update(golden.optim(), golden.optim().lr, clip,
                            static_cast<std::int64_t>(step) + 1);
  }
  return trained;
}

class Golden : public testing::TestWithParam<std::tuple<const char*, DType>> {
 protected:
  DType dtype() const { return std::get<1>(GetParam()); }
  GoldenModel golden_{std::get<0>(GetParam()), dtype()};

  struct Bounds {
    double fp32 = 0;
    double bf16 = 0;
  };
  // Records the figure for tools/oracle/comparison.py, which takes "X" and "X_bound".
  void expect_within(const std::string& figure, double reached, const Bounds& bounds) {
    const double bound = dtype() == DType::f32 ? bounds.fp32 : bounds.bf16;
    RecordProperty(figure, fmt::format("{:.3g}", reached));
    RecordProperty(figure + "_bound", fmt::format("{:g}", bound));
    EXPECT_LE(reached, bound) << figure;
  }
  // Every tensor alone, in the layout of the Hugging Face file.
  void expect_gradients(const std::string& figure) {
    double worst = 0;
    std::string where;
    for (const model::HfTensor& hf : golden_.tensors()) {
      const double error =
          relative_error(golden_.gradient(hf), golden_.golden("gradient." + hf.hf_name, dtype()));
      if (error > worst) where = hf.hf_name;
      worst = std::max(worst, error);
    }
    SCOPED_TRACE("worst tensor: " + where);
    expect_within(figure, worst, {.fp32 = 1e-5, .bf16 = 5e-2});
  }
};

TEST_P(Golden, LogitsEqualPyTorchs) {
  expect_within(
      "logits",
      relative_error(golden_.logits(golden_.batches()[0]), golden_.golden("logits", dtype())),
      {.fp32 = 1e-5, .bf16 = 3e-2});
}

TEST_P(Golden, LossAndEveryGradientEqualPyTorchs) {
  const tokens::Batch& batch = golden_.batches()[0];
  const double loss = golden_.accumulate(batch, batch.rows);
  const double expected = golden_.figures(dtype()).loss;
  expect_within("loss", std::abs(loss / expected - 1), {.fp32 = 1e-5, .bf16 = 1e-3});
  expect_gradients("gradient_of_worst_tensor");
}

TEST_P(Golden, GradientsAddedRowByRowEqualPyTorchsOfTheWholeBatch) {
  golden_.accumulate(golden_.batches()[0], 1);
  expect_gradients("gradient_row_by_row");
}

// PyTorch's own bf16 lies some way off its fp32; boreal's, mean over the tensors, lies no further.
class GoldenBf16 : public Golden {};

TEST_P(GoldenBf16, GradientsAreAsNearToFp32AsPyTorchsBf16) {
  golden_.accumulate(golden_.batches()[0], golden_.batches()[0].rows);
  double ours = 0;
  double pytorchs = 0;
  for (const model::HfTensor& hf : golden_.tensors()) {
    const std::string name = "gradient." + hf.hf_name;
    const std::vector<float> fp32 = golden_.golden(name, DType::f32);
    ours += relative_error(golden_.gradient(hf), fp32);
    pytorchs += relative_error(golden_.golden(name, DType::bf16), fp32);
  }
  expect_within("gradient_error_over_pytorchs", ours / pytorchs, {.bf16 = 1.25});
}

TEST_P(Golden, TwentyLossesGradientNormsAndTheTrainedModelEqualPyTorchs) {
  const Trained trained = train_as_pytorch_did(golden_);
  const GoldenFigures& expected = golden_.figures(dtype());
  double worst = 0;
  for (std::size_t step = 0; step < expected.losses.size(); ++step)
    worst = std::max(worst, std::abs(trained.losses[step] / expected.losses[step] - 1));
  expect_within("losses_of_20_steps", worst, {.fp32 = 1e-4, .bf16 = 2e-2});
  expect_within("gradient_norms", relative_error(trained.gradient_norms, expected.gradient_norms),
                {.fp32 = 1e-4, .bf16 = 4e-2});
  expect_within("trained_logits",
                relative_error(golden_.logits(golden_.batches()[0]),
                               golden_.golden("trained_logits", dtype())),
                {.fp32 = 1e-4, .bf16 = 5e-2});
}

std::string name_of_case(const testing::TestParamInfo<Golden::ParamType>& info) {
  return std::string(std::get<0>(info.param)) + "_" + std::string(name_of(std::get<1>(info.param)));
}

constexpr const char* kModels[] = {"llama_untied", "llama_tied", "gpt2"};
// In fp32 alone.
constexpr const char* kFamilies[] = {"llama3", "llama_linear", "neox",   "mistral",
                                     "qwen2",  "qwen3",        "gemma2", "olmo2"};

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Combine(testing::ValuesIn(kModels),
                                          testing::Values(DType::f32, DType::bf16)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         testing::Combine(testing::ValuesIn(kFamilies),
                                          testing::Values(DType::f32)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Models, GoldenBf16,
                         testing::Combine(testing::ValuesIn(kModels), testing::Values(DType::bf16)),
                         name_of_case);

}  // namespace
}  // namespace boreal::train
