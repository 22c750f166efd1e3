#include <cmath>

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

class LossKernel : public KernelTest {};

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

TEST_P(LossKernel, CrossEntropyEqualsTheTwin) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {1, 2, 15, 16, 17, 63, 64, 65, 86, 1000, 1003}) {
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

TEST_P(LossKernel, CrossEntropyWithoutGradientsHasTheSameLossBits) {
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

TEST_P(LossKernel, CrossEntropyIsRightOverTheWholeRangeOfExp) {
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

TEST_P(LossKernel, CrossEntropyOfANotANumberIsNotANumberInItsRowAlone) {
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

TEST_P(LossKernel, WithACapAndAWeightOnTheNormaliserEqualsTheTwin) {
  for (const auto& [cap, z] : {std::pair{0.0, 0.01}, std::pair{5.0, 0.0}, std::pair{30.0, 0.1}})
    for (const std::int64_t columns : {1, 2, 15, 16, 17, 129, 1003}) {
      Values logits = reference::random_values("logits", DType::f32, Shape{7, columns}, 8);
      const std::vector<std::int64_t> target = reference::random_ids("target", 7, columns);
      Values targets(target);
      Values seed = reference::random_values("seed", DType::f32, Shape{1, 7});
      Values loss(DType::f32, Shape{1, 7});
      Values lse(DType::f32, Shape{1, 7});
      Values entropy(DType::f32, Shape{1, 7});
      Values dlogits(dtype(), Shape{7, columns});
      Tensor d = dlogits.tensor();
      Tensor h = entropy.tensor();
      cross_entropy(ctx(), logits.tensor(), targets.tensor(), seed.tensor(), loss.tensor(),
                    lse.tensor(), &d, {.soft_cap = cap, .z_loss = z}, &h);
      const auto expected =
          reference::cross_entropy(logits.matrix(), target, seed.matrix().values, {cap, z});
      EXPECT_LE(relative_error(loss.matrix(), expected.loss), columns == 1 ? 1e-5 : 2e-5);
      EXPECT_LE(relative_error(lse.matrix(), expected.lse), 1e-5);
      for (std::int64_t r = 0; r < 7; ++r)
        EXPECT_NEAR(entropy.matrix()(0, r), expected.entropy(0, r),
                    1e-5 * std::log(2.0 + static_cast<double>(columns)));
      EXPECT_LE(relative_error(dlogits.matrix(), expected.dlogits), tolerance());
    }
}

TEST_P(LossKernel, TheGradientMayOverwriteTheLogits) {
  for (const std::int64_t columns : {1, 15, 16, 17, 86, 1000}) {
    Values logits = reference::random_values("logits", DType::f32, Shape{5, columns}, 4);
    Values targets(reference::random_ids("target", 5, columns));
    Values seed = reference::random_values("seed", DType::f32, Shape{1, 5});
    Loss beside = loss_of(ctx(), dtype(), logits, targets, seed);
    const Tensor over = over_logits(logits.tensor(), dtype(), columns);
    cross_entropy_gradient(ctx(), logits.tensor(), targets.tensor(), 0, seed.tensor(),
                           beside.lse.tensor(), over);
    EXPECT_EQ(bytes_of_tensor(over), beside.dlogits.bytes());
  }
}

TEST_P(LossKernel, PiecesOfTheVocabularyCombineToTheWhole) {
  // Three ranks hold columns [0, 20), [20, 21) and [21, 70); targets lie in all of them.
  const LossOptions options{.soft_cap = 20, .z_loss = 0.05};
  Values logits = reference::random_values("logits", DType::f32, Shape{6, 70}, 6);
  const std::vector<std::int64_t> target = {0, 19, 20, 21, 69, 40};
  Values targets(target);
  Values seed = reference::random_values("seed", DType::f32, Shape{1, 6});
  const auto expected =
      reference::cross_entropy(logits.matrix(), target, seed.matrix().values, {20, 0.05});
  const std::vector<std::int64_t> cuts = {0, 20, 21, 70};
  Matrix sum(1, 6), dot(1, 6), picked(1, 6), max(1, 6, -1e30);
  std::vector<Matrix> own_max, own_sum, own_dot;
  const auto piece = [&](std::size_t i) {
    return logits.tensor().column_slice(cuts[i], cuts[i + 1]);
  };
  for (std::size_t i = 0; i < 3; ++i) {
    Values m(DType::f32, Shape{1, 6});
    Values s(DType::f32, Shape{1, 6});
    Values p(DType::f32, Shape{1, 6});
    Values d(DType::f32, Shape{1, 6});
    Tensor d_view = d.tensor();
    softmax_sums(ctx(), piece(i), targets.tensor(), cuts[i], m.tensor(), s.tensor(), p.tensor(),
                 options, &d_view);
    own_max.push_back(m.matrix());
    own_sum.push_back(s.matrix());
    own_dot.push_back(d.matrix());
    picked = picked + p.matrix();
    for (std::int64_t r = 0; r < 6; ++r) max(0, r) = std::max(max(0, r), own_max[i](0, r));
  }
  Values max_values(DType::f32, max);
  for (std::size_t i = 0; i < 3; ++i) {
    Values m(DType::f32, own_max[i]);
    Values s(DType::f32, own_sum[i]);
    Values d(DType::f32, own_dot[i]);
    Tensor d_view = d.tensor();
    rescale_sums(ctx(), m.tensor(), max_values.tensor(), s.tensor(), &d_view);
    sum = sum + s.matrix();
    dot = dot + d.matrix();
  }
  Values sums(DType::f32, sum);
  Values dots(DType::f32, dot);
  Values picked_values(DType::f32, picked);
  Values loss(DType::f32, Shape{1, 6});
  Values lse(DType::f32, Shape{1, 6});
  softmax_entropy(ctx(), sums.tensor(), dots.tensor(), dots.tensor());
  cross_entropy_loss(ctx(), max_values.tensor(), sums.tensor(), picked_values.tensor(),
                     loss.tensor(), lse.tensor());
  EXPECT_LE(relative_error(loss.matrix(), expected.loss), 1e-5);
  EXPECT_LE(relative_error(dots.matrix(), expected.entropy), 1e-5);
  Values dlogits(dtype(), Shape{6, 70});
  for (std::size_t i = 0; i < 3; ++i)
    cross_entropy_gradient(ctx(), piece(i), targets.tensor(), cuts[i], seed.tensor(), lse.tensor(),
                           dlogits.tensor().column_slice(cuts[i], cuts[i + 1]), options);
  EXPECT_LE(relative_error(dlogits.matrix(), expected.dlogits), tolerance());
}

TEST_P(LossKernel, CapsInPlaceAndSmallLogitsKeepTheirPrecision) {
  Matrix x(3, 17);
  for (std::int64_t i = 0; i < 51; ++i)
    x(i / 17, i % 17) = (i % 2 == 0 ? 1 : -1) * std::pow(10, -10 + 0.25 * static_cast<double>(i));
  Values values(DType::f32, x);
  soft_cap(ctx(), values.tensor(), 30);
  const Matrix rounded = Values(DType::f32, x).matrix();
  const Matrix got = values.matrix();
  for (std::int64_t i = 0; i < 51; ++i) {
    const double expected = 30 * std::tanh(rounded(i / 17, i % 17) / 30);
    EXPECT_NEAR(got(i / 17, i % 17), expected, 5e-7 * std::abs(expected)) << x(i / 17, i % 17);
  }
}

BOREAL_EVERYWHERE(LossKernel);

}  // namespace
}  // namespace boreal::kernels
