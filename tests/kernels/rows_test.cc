#include <array>
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

// Rows looked up, summed and copied; flat buffers.
class RowsKernel : public KernelTest {};

TEST_P(RowsKernel, GatherAndScatterEqualTheTwin) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {1, 2, 15, 16, 17, 63, 64, 65, 86, 768, 1000}) {
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

TEST_P(Flat, TheSweepZeroesTheGradientAndPublishesWithTheSameBits) {
  for (const std::int64_t count : {1, 15, 16, 17, 10'003}) {
    const AdamStep step{.lr = 0.01, .weight_decay = 0.1, .grad_scale = 0.37, .step = 3};
    const auto sweep = [&](const Context& on_ctx, Gradient after, Tensor* copy) {
      Values w = draw("w", Shape{1, count});
      Values g = draw("g", Shape{1, count});
      Values m = draw("m", Shape{1, count}, 0.1);
      Values v(DType::f32, Matrix(1, count, 0.3));
      adamw(on_ctx, w.tensor(), g.tensor(), m.tensor(), v.tensor(), step, after, copy);
      EXPECT_EQ(largest(g.matrix()) == 0, after == Gradient::zero);
      return std::array<std::vector<std::byte>, 3>{w.bytes(), m.bytes(), v.bytes()};
    };
    const auto plain = sweep(ctx(), Gradient::keep, nullptr);
    device::Pool three(3);
    Values copied(DType::bf16, Shape{1, count});
    Tensor copy = copied.tensor();
    EXPECT_EQ(plain, sweep(on(three), Gradient::zero, &copy));
    Values moved(DType::f32, Shape{1, count});
    std::memcpy(moved.tensor().data, plain[0].data(), plain[0].size());
    EXPECT_EQ(copied.bytes(), Values(DType::bf16, moved.matrix()).bytes());
    EXPECT_EQ(plain, sweep(ctx(), Gradient::zero, nullptr));
  }
}

TEST_P(Flat, SumOfSquaresOfANotANumberOrInfinityIsNotFinite) {
  for (const std::int64_t at : {0, 15, 16, 70'000}) {
    Values x = draw("x", Shape{1, 70'001});
    x.set(0, at, std::nan(""));
    EXPECT_TRUE(std::isnan(sum_squares(ctx(), x.tensor())));
    x.set(0, at, -INFINITY);
    EXPECT_EQ(sum_squares(ctx(), x.tensor()), INFINITY);
  }
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
  const Matrix before = x.matrix();
  fill_zero(on(two), x.tensor().column_slice(7, 9));
  EXPECT_EQ(largest(columns_of(x.matrix(), 7, 9)), 0);
  EXPECT_EQ(columns_of(x.matrix(), 0, 7).values, columns_of(before, 0, 7).values);
  EXPECT_EQ(columns_of(x.matrix(), 9, 5001).values, columns_of(before, 9, 5001).values);
  fill_zero(on(two), x.tensor());
  EXPECT_EQ(x.bytes(), std::vector<std::byte>(x.bytes().size()));
}

BOREAL_EVERYWHERE_FP32(Flat);

}  // namespace
}  // namespace boreal::kernels
