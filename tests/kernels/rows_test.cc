#include <cmath>
#include <cstring>

#include "base/philox.h"
#include "kernels/ops.h"
#include "tests/kernels/fixture.h"
#include "tests/reference/operations.h"

namespace boreal::kernels {
namespace {

using reference::bytes_of_tensor;
using reference::Matrix;
using reference::matrix_of;
using reference::Values;
using tensor::Shape;

// Rows looked up, summed and copied; the loss; flat buffers.
class RowsKernel : public KernelTest {};

TEST_P(RowsKernel, GatherAndScatterEqualTheTwin) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {1, 24, 65, 130}) {
      const std::vector<std::int64_t> id = reference::random_ids("id", rows, 6);  // repeats
      Values ids(id);
      Values table = draw("table", Shape{6, columns});
      Values y = draw("y", Shape{rows, columns});
      const Matrix before = y.matrix();
      gather_rows(ctx(), table.tensor(), ids.tensor(), true, y.tensor());
      const Matrix rows_of_table = reference::gather(table.matrix(), id);
      EXPECT_LE(relative_error(y.matrix(), before + rows_of_table), tolerance());
      gather_rows(ctx(), table.tensor(), ids.tensor(), false, y.tensor());
      EXPECT_EQ(y.matrix().values, rows_of_table.values);
      Values grad = reference::random_values("grad", DType::f32, Shape{6, columns});
      const Matrix grad_before = grad.matrix();
      scatter_rows(ctx(), y.tensor(), ids.tensor(), grad.tensor());
      EXPECT_LE(relative_error(grad.matrix(), grad_before + reference::scatter(y.matrix(), id, 6)),
                1e-5);
    }
}

TEST_P(RowsKernel, ColumnSumEqualsTheTwinOnSlices) {
  Values x = draw("x", Shape{13, 130});
  Values sum = reference::random_values("sum", DType::f32, Shape{1, 65});
  const Matrix before = sum.matrix();
  column_sum(ctx(), x.tensor().column_slice(10, 75), sum.tensor());
  EXPECT_LE(
      relative_error(sum.matrix(), before + reference::column_sums(columns_of(x.matrix(), 10, 75))),
      1e-5);
}

TEST_P(RowsKernel, CopiesRowsToWhereTheyAreSent) {
  Values src = draw("src", Shape{3, 10});
  Values dst(dtype(), Shape{7, 10});
  Values to(std::vector<std::int64_t>{5, 0, 6});
  copy_rows(ctx(), src.tensor(), to.tensor(), dst.tensor());
  for (const auto& [from, at] : {std::pair{0, 5}, std::pair{1, 0}, std::pair{2, 6}})
    EXPECT_EQ(bytes_of_tensor(src.tensor().row_slice(from, from + 1)),
              bytes_of_tensor(dst.tensor().row_slice(at, at + 1)));
  EXPECT_EQ(largest(matrix_of(dst.tensor().row_slice(1, 5))), 0);
}

TEST_P(RowsKernel, SumsAcrossRowsHaveTheSameBitsOnOneTwoAndThreeThreads) {
  Values x = draw("x", Shape{29, 200});
  Values ids(reference::random_ids("id", 29, 6));
  const auto all = [&](const Context& on_ctx) {
    Values sum(DType::f32, Shape{200});
    column_sum(on_ctx, x.tensor(), sum.tensor());
    Values grad(DType::f32, Shape{6, 200});
    scatter_rows(on_ctx, x.tensor(), ids.tensor(), grad.tensor());
    std::vector<std::byte> bytes = sum.bytes();
    bytes.insert(bytes.end(), grad.bytes().begin(), grad.bytes().end());
    return bytes;
  };
  device::Pool two(2);
  device::Pool three(3);
  EXPECT_EQ(all(ctx()), all(on(two)));
  EXPECT_EQ(all(ctx()), all(on(three)));
}

struct Loss {
  Values loss, lse, dlogits;
};

Loss loss_of(const Context& ctx, DType dtype, Values& logits, Values& target, Values& seed) {
  const Shape shape = logits.tensor().shape;
  Loss out{Values(DType::f32, Shape{shape[0]}), Values(DType::f32, Shape{shape[0]}),
           Values(dtype, shape)};
  Tensor dlogits = out.dlogits.tensor();
  cross_entropy(ctx, logits.tensor(), target.tensor(), seed.tensor(), out.loss.tensor(),
                out.lse.tensor(), &dlogits);
  return out;
}

TEST_P(RowsKernel, CrossEntropyEqualsTheTwin) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {2, 24, 65, 1003}) {
      Values logits = reference::random_values("logits", DType::f32, Shape{rows, columns}, 4);
      const std::vector<std::int64_t> target = reference::random_ids("target", rows, columns);
      Values target_values(target);
      Values seed = reference::random_values("seed", DType::f32, Shape{1, rows});
      const Loss got = loss_of(ctx(), dtype(), logits, target_values, seed);
      const auto expected = reference::cross_entropy(logits.matrix(), target, seed.matrix().values);
      EXPECT_LE(relative_error(got.loss.matrix(), expected.loss), 1e-5);
      EXPECT_LE(relative_error(got.lse.matrix(), expected.lse), 1e-5);
      EXPECT_LE(relative_error(got.dlogits.matrix(), expected.dlogits), tolerance());
      if (columns > 24) continue;
      const Matrix numeric = numeric_gradient(
          [&](const Matrix& at) {
            return dot(reference::cross_entropy(at, target, seed.matrix().values).loss,
                       seed.matrix());
          },
          logits.matrix(), 1e-4);
      EXPECT_LE(relative_error(got.dlogits.matrix(), numeric), tolerance());
    }
}

TEST_P(RowsKernel, CrossEntropyWithoutGradientsHasTheSameLossBits) {
  Values logits = reference::random_values("logits", DType::f32, Shape{9, 77}, 4);
  Values target(reference::random_ids("target", 9, 77));
  Values seed = reference::random_values("seed", DType::f32, Shape{1, 9});
  const Loss with = loss_of(ctx(), dtype(), logits, target, seed);
  device::Pool two(2);
  Values loss(DType::f32, Shape{9});
  Values lse(DType::f32, Shape{9});
  cross_entropy(on(two), logits.tensor(), target.tensor(), seed.tensor(), loss.tensor(),
                lse.tensor(), nullptr);
  EXPECT_EQ(loss.bytes(), with.loss.bytes());
  EXPECT_EQ(lse.bytes(), with.lse.bytes());
}

TEST_P(RowsKernel, CrossEntropyIsRightOverTheWholeRangeOfExp) {
  // Two classes d apart: loss of the lower one is d + log(1 + e^-d), its probability e^-d / (1 +
  // e^-d).
  Matrix logits(1301, 2);
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    logits(r, 0) = 1000 - static_cast<double>(r) * 0.1;
    logits(r, 1) = 1000;
  }
  Values logits_values(DType::f32, logits);
  Values high(std::vector<std::int64_t>(1301, 1));
  Values low(std::vector<std::int64_t>(1301, 0));
  Values seed(DType::f32, Matrix(1, 1301, 1));
  const Loss of_low = loss_of(ctx(), DType::f32, logits_values, low, seed);
  const Loss of_high = loss_of(ctx(), DType::f32, logits_values, high, seed);
  const Matrix rounded = logits_values.matrix();
  const Matrix low_loss = of_low.loss.matrix();
  const Matrix high_gradient = of_high.dlogits.matrix();
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    const double d = 1000 - rounded(r, 0);
    // Loss is a difference of numbers near 1000, whose fp32 spacing is 6e-5.
    EXPECT_NEAR(low_loss(0, r), d + std::log1p(std::exp(-d)), 1.3e-4) << d;
    const double p = std::exp(-d) / (1 + std::exp(-d));
    EXPECT_NEAR(high_gradient(r, 0), p, 1e-4 * p + 1.2e-38) << d;
  }
}

TEST_P(RowsKernel, CrossEntropyOfANotANumberIsNotANumberInItsRowAlone) {
  Values clean = reference::random_values("logits", DType::f32, Shape{5, 33});
  Values target(std::vector<std::int64_t>{1, 2, 3, 4, 5});
  Values seed(DType::f32, Matrix(1, 5, 1));
  const Loss expected = loss_of(ctx(), dtype(), clean, target, seed);
  for (const double bad : {std::nan(""), double{INFINITY}})
    for (const std::int64_t at : {0, 7, 32}) {
      Values logits = clean;
      logits.set(2, at, bad);
      const Loss got = loss_of(ctx(), dtype(), logits, target, seed);
      for (std::int64_t r = 0; r < 5; ++r) {
        if (r == 2)
          EXPECT_TRUE(std::isnan(got.loss.matrix()(0, r)));
        else
          EXPECT_EQ(got.loss.matrix()(0, r), expected.loss.matrix()(0, r));
      }
    }
  // A forbidden token (-inf) has probability zero and hurts nobody.
  Values logits = clean;
  logits.set(2, 7, -INFINITY);
  const Loss got = loss_of(ctx(), dtype(), logits, target, seed);
  EXPECT_TRUE(std::isfinite(got.loss.matrix()(0, 2)));
  EXPECT_EQ(got.dlogits.matrix()(2, 7), 0);
}

BOREAL_EVERYWHERE(RowsKernel);

// Flat fp32 buffers of parameters.
class Flat : public KernelTest {};

TEST_P(Flat, AdamWEqualsTheTwinOverSeveralSteps) {
  for (const auto& [beta1, beta2] : {std::pair{0.9, 0.95}, std::pair{0.9, 0.999}})
    for (const std::int64_t count : {1, 13, 16, 1003}) {
      Values w = draw("w", Shape{1, count});
      Values m(DType::f32, Shape{1, count});
      Values v(DType::f32, Shape{1, count});
      Matrix w_twin = w.matrix();
      Matrix m_twin = m.matrix();
      Matrix v_twin = v.matrix();
      for (std::int64_t step = 1; step <= 5; ++step) {
        Values g = draw(fmt::format("g{}", step), Shape{1, count}, 0.01);
        adamw(ctx(), w.tensor(), g.tensor(), m.tensor(), v.tensor(),
              {.lr = 0.01,
               .beta1 = beta1,
               .beta2 = beta2,
               .eps = 1e-8,
               .weight_decay = 0.1,
               .grad_scale = 0.37,
               .step = step});
        reference::adamw(w_twin, g.matrix(), m_twin, v_twin,
                         {.lr = 0.01,
                          .beta1 = beta1,
                          .beta2 = beta2,
                          .eps = 1e-8,
                          .weight_decay = 0.1,
                          .grad_scale = 0.37,
                          .step = static_cast<double>(step)});
        EXPECT_LE(relative_error(w.matrix(), w_twin), 1e-6) << "step " << step;
        EXPECT_LE(relative_error(m.matrix(), m_twin), 1e-6) << "step " << step;
        EXPECT_LE(relative_error(v.matrix(), v_twin), 1e-6) << "step " << step;
      }
    }
}

TEST_P(Flat, AdamWDoesNotMoveAParameterWithoutGradientOrDecay) {
  Values w = draw("w", Shape{1, 33});
  const auto before = w.bytes();
  Values zero(DType::f32, Shape{1, 33});
  Values m(DType::f32, Shape{1, 33});
  Values v(DType::f32, Shape{1, 33});
  adamw(ctx(), w.tensor(), zero.tensor(), m.tensor(), v.tensor(), {.lr = 0.1});
  EXPECT_EQ(w.bytes(), before);
}

TEST_P(Flat, SumOfSquaresEqualsTheTwinWithTheSameBitsOnAnySetAndAnyThreads) {
  Values x = draw("x", Shape{200'003});
  const double got = sum_squares(ctx(), x.tensor());
  EXPECT_NEAR(got / dot(x.matrix(), x.matrix()), 1, 1e-12);
  for (const std::int64_t threads : {2, 3}) {
    device::Pool pool(threads);
    EXPECT_EQ(got, sum_squares(on(pool), x.tensor()));
  }
  device::Context baseline = ctx();
  baseline.isa = device::Isa::v2;
  EXPECT_EQ(got, sum_squares(baseline, x.tensor()));
}

TEST_P(Flat, WeightedSumIsInDouble) {
  Values x = reference::random_values("x", DType::f32, Shape{1, 501});
  Values w = reference::random_values("w", DType::f32, Shape{1, 501});
  EXPECT_NEAR(weighted_sum(ctx(), x.tensor(), w.tensor()), dot(x.matrix(), w.matrix()), 1e-12);
}

TEST_P(Flat, ConvertsRoundingToNearestEvenLikeTheScalarFunction) {
  device::Pool two(2);
  std::vector<float> numbers;
  const Rng rng(1, "bits");
  for (std::uint64_t i = 0; i < 70'000; ++i)  // any bits: also infinities, denormals and NaN
    numbers.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(rng.bits(i))));
  for (const float special : {INFINITY, -INFINITY, std::nanf(""), 3.4e38F, -0.0F, 1e-40F})
    numbers.push_back(special);
  const auto count = static_cast<std::int64_t>(numbers.size());
  std::vector<bf16_t> rounded(numbers.size());
  convert(on(two), Tensor(numbers.data(), DType::f32, Shape{count}),
          Tensor(rounded.data(), DType::bf16, Shape{count}));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    ASSERT_EQ(rounded[i].bits, to_bf16(numbers[i]).bits)
        << std::bit_cast<std::uint32_t>(numbers[i]);
  std::vector<float> wide(numbers.size());
  convert(on(two), Tensor(rounded.data(), DType::bf16, Shape{count}),
          Tensor(wide.data(), DType::f32, Shape{count}));
  for (std::size_t i = 0; i < wide.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint32_t>(wide[i]), std::uint32_t{rounded[i].bits} << 16);
}

TEST_P(Flat, FillsWithZeros) {
  device::Pool two(2);
  Values x = draw("x", Shape{3, 5001});
  fill_zero(on(two), x.tensor());
  EXPECT_EQ(x.bytes(), std::vector<std::byte>(x.bytes().size()));
}

BOREAL_EVERYWHERE_FP32(Flat);

}  // namespace
}  // namespace boreal::kernels
