#include <array>
#include <cmath>

#include "kernels/ops.h"
#include "tests/kernels/fixture.h"
#include "tests/reference/operations.h"

namespace boreal::kernels {
namespace {

using reference::Matrix;
using reference::Values;
using tensor::Shape;

class ActivationKernel : public KernelTest {};

struct Kind {
  kernels::Activation kind;
  Matrix (*forward)(const Matrix& x);
  Matrix (*backward)(const Matrix& dy, const Matrix& x);
};
constexpr std::array<Kind, 4> kKinds = {
    Kind{kernels::Activation::gelu, reference::gelu, reference::gelu_backward},
    Kind{kernels::Activation::gelu_erf, reference::gelu_erf, reference::gelu_erf_backward},
    Kind{kernels::Activation::swiglu, reference::swiglu, reference::swiglu_backward},
    Kind{kernels::Activation::geglu, reference::geglu, reference::geglu_backward}};

TEST_P(ActivationKernel, EveryKindEqualsItsTwinForwardAndBackward) {
  for (const Kind& at : kKinds)
    for (const std::int64_t rows : {1, 5})
      for (const std::int64_t columns : {1, 2, 15, 16, 17, 63, 64, 65, 86, 768, 1000}) {
        const std::int64_t wide = (gated(at.kind) ? 2 : 1) * columns;
        Values x = draw("x", Shape{rows, wide}, 3);
        Values dy = draw("dy", Shape{rows, columns});
        Values y(dtype(), Shape{rows, columns});
        Values dx(dtype(), Shape{rows, wide});
        activation(ctx(), at.kind, x.tensor(), y.tensor());
        EXPECT_LE(relative_error(y.matrix(), at.forward(x.matrix())), tolerance());
        activation_backward(ctx(), at.kind, dy.tensor(), x.tensor(), dx.tensor());
        const Matrix expected = at.backward(dy.matrix(), x.matrix());
        EXPECT_LE(relative_error(dx.matrix(), expected), tolerance());
        // The forward's result once more, on three threads: all bits alike.
        device::Pool three(3);
        Values again(dtype(), Shape{rows, columns});
        Values dx_again(dtype(), Shape{rows, wide});
        Tensor y_again = again.tensor();
        activation_backward(on(three), at.kind, dy.tensor(), x.tensor(), dx_again.tensor(),
                            &y_again);
        EXPECT_EQ(dx.bytes(), dx_again.bytes());
        EXPECT_EQ(y.bytes(), again.bytes());
      }
}

TEST_P(ActivationKernel, GeluKeepsItsTailsRelativeToTheirSize) {
  // Element by element, where the share of the smaller side is below the last place of one.
  Matrix x(1, 241);
  for (std::int64_t i = 0; i < x.columns; ++i) x(0, i) = -12 + 0.1 * static_cast<double>(i);
  Values x_values(dtype(), x);
  Values dy(dtype(), Matrix(1, 241, 1));
  Values y(dtype(), Shape{1, 241});
  Values dx(dtype(), Shape{1, 241});
  activation(ctx(), kernels::Activation::gelu_erf, x_values.tensor(), y.tensor());
  activation_backward(ctx(), kernels::Activation::gelu_erf, dy.tensor(), x_values.tensor(),
                      dx.tensor());
  const Matrix expected = reference::gelu_erf(x_values.matrix());
  const Matrix slope = reference::gelu_erf_backward(dy.matrix(), x_values.matrix());
  const double relative = dtype() == DType::f32 ? 1e-5 : 1.0 / 256;
  for (std::int64_t i = 0; i < x.columns; ++i) {
    EXPECT_NEAR(y.matrix()(0, i), expected(0, i), relative * std::abs(expected(0, i))) << x(0, i);
    // Its zero near -0.75 is a difference of terms of a fifth.
    EXPECT_NEAR(dx.matrix()(0, i), slope(0, i),
                relative * std::abs(slope(0, i)) + (std::abs(x(0, i)) < 2 ? 3e-7 : 0))
        << x(0, i);
  }
}

TEST_P(ActivationKernel, SaturatesWithoutOverflowOverTheWholeRangeOfExp) {
  // Element by element: from where e^x underflows to where it overflows fp32, and far beyond.
  std::vector<double> points = {-3e38, -1e30, -1e4, 1e4, 1e17};
  for (int i = -1300; i <= 1300; ++i) points.push_back(i * 0.1);
  const auto count = static_cast<std::int64_t>(points.size());
  Matrix x(1, count);
  Matrix gate_up(1, 2 * count, 1);
  for (std::int64_t i = 0; i < count; ++i)
    x(0, i) = gate_up(0, i) = points[static_cast<std::size_t>(i)];
  Values x_values(dtype(), x);
  Values gate_values(dtype(), gate_up);
  Values gelu_y(dtype(), Shape{1, count});
  Values swiglu_y(dtype(), Shape{1, count});
  gelu(ctx(), x_values.tensor(), gelu_y.tensor());
  swiglu(ctx(), gate_values.tensor(), swiglu_y.tensor());
  const Matrix at = x_values.matrix();
  const Matrix swiglu_got = swiglu_y.matrix();
  const Matrix gelu_got = gelu_y.matrix();
  const double relative = dtype() == DType::f32 ? 1e-6 : 1.0 / 256;
  for (std::int64_t i = 0; i < count; ++i) {
    Matrix gate(1, 2, 1);
    gate(0, 0) = at(0, i);
    Matrix one(1, 1, at(0, i));
    const double silu_expected = reference::swiglu(gate)(0, 0);
    const double gelu_expected = at(0, i) < -1e6 ? 0 : reference::gelu(one)(0, 0);
    // The sigmoid may be e^-88.3 where it is a little less.
    const double least = 5e-39 * std::min(100.0, std::abs(at(0, i)));
    EXPECT_NEAR(swiglu_got(0, i), silu_expected, relative * std::abs(silu_expected) + least)
        << at(0, i);
    // A large exponent is rounded; the twin's own tail is lost where tanh rounds to -1.
    EXPECT_NEAR(
        gelu_got(0, i), gelu_expected,
        10 * relative * std::abs(gelu_expected) + 1e-15 * std::min(10.0, std::abs(at(0, i))))
        << at(0, i);
  }
}

TEST_P(ActivationKernel, ANotANumberStaysInItsElement) {
  for (const Kind& kind : kKinds) {
    const std::int64_t wide = gated(kind.kind) ? 34 : 17;
    Values x = draw("x", Shape{3, wide});
    Values dy = draw("dy", Shape{3, 17});
    Values y(dtype(), Shape{3, 17});
    Values dx(dtype(), Shape{3, wide});
    activation(ctx(), kind.kind, x.tensor(), y.tensor());
    activation_backward(ctx(), kind.kind, dy.tensor(), x.tensor(), dx.tensor());
    const Matrix clean = y.matrix();
    const Matrix clean_dx = dx.matrix();
    for (const std::int64_t at : {0, 16}) {
      Values bad = x;
      bad.set(1, at, std::nan(""));
      activation(ctx(), kind.kind, bad.tensor(), y.tensor());
      activation_backward(ctx(), kind.kind, dy.tensor(), bad.tensor(), dx.tensor());
      for (std::int64_t r = 0; r < 3; ++r)
        for (std::int64_t c = 0; c < 17; ++c) {
          if (r == 1 && c == at) {
            EXPECT_TRUE(std::isnan(y.matrix()(r, c)));
            EXPECT_TRUE(std::isnan(dx.matrix()(r, c)));
          } else {
            EXPECT_EQ(y.matrix()(r, c), clean(r, c));
            EXPECT_EQ(dx.matrix()(r, c), clean_dx(r, c));
          }
        }
    }
  }
}

TEST_P(ActivationKernel, GivesTheSameBitsOnOneTwoAndThreeThreads) {
  Values x = draw("x", Shape{13, 70});
  Values dy = draw("dy", Shape{13, 70});
  Values dz = draw("dz", Shape{13, 35});
  const auto all = [&](const Context& on_ctx) {
    Values y(dtype(), Shape{13, 70});
    Values dx(dtype(), Shape{13, 70});
    Values z(dtype(), Shape{13, 35});
    Values d_gate_up(dtype(), Shape{13, 70});
    gelu(on_ctx, x.tensor(), y.tensor());
    gelu_backward(on_ctx, dy.tensor(), x.tensor(), dx.tensor());
    swiglu(on_ctx, x.tensor(), z.tensor());
    swiglu_backward(on_ctx, dz.tensor(), x.tensor(), d_gate_up.tensor());
    std::vector<std::byte> bytes;
    for (const Values* v : {&y, &dx, &z, &d_gate_up})
      bytes.insert(bytes.end(), v->bytes().begin(), v->bytes().end());
    return bytes;
  };
  device::Pool two(2);
  device::Pool three(3);
  EXPECT_EQ(all(ctx()), all(on(two)));
  EXPECT_EQ(all(ctx()), all(on(three)));
}

BOREAL_EVERYWHERE(ActivationKernel);

class ActivationGradient : public ActivationKernel {};

TEST_P(ActivationGradient, BackwardEqualsFiniteDifferencesOfTheTwin) {
  Values x = draw("x", Shape{3, 14}, 2);
  Values dy = draw("dy", Shape{3, 7});
  Values dx(dtype(), Shape{3, 14});
  swiglu_backward(ctx(), dy.tensor(), x.tensor(), dx.tensor());
  EXPECT_LE(relative_error(dx.matrix(), numeric_gradient(
                                            [&](const Matrix& at) {
                                              return dot(dy.matrix(), reference::swiglu(at));
                                            },
                                            x.matrix())),
            1e-5);
  Values dz = draw("dz", Shape{3, 14});
  gelu_backward(ctx(), dz.tensor(), x.tensor(), dx.tensor());
  EXPECT_LE(
      relative_error(
          dx.matrix(),
          numeric_gradient([&](const Matrix& at) { return dot(dz.matrix(), reference::gelu(at)); },
                           x.matrix())),
      1e-5);
}

BOREAL_EVERYWHERE_FP32(ActivationGradient);

class Rope : public KernelTest {
 protected:
  static Values table(const Context& on_ctx, double theta, std::int64_t positions,
                      std::int64_t dim) {
    Values cos_sin(DType::f32, Shape{positions, dim});
    std::vector<float> frequency;
    for (std::int64_t i = 0; i < dim / 2; ++i)
      frequency.push_back(static_cast<float>(
          std::pow(theta, -2 * static_cast<double>(i) / static_cast<double>(dim))));
    rope_table(on_ctx, frequency, cos_sin.tensor());
    return cos_sin;
  }
};

TEST_P(Rope, EqualsTheTwinAndTurnsBack) {
  for (const std::int64_t dim : {8, 32, 64, 86, 128})
    for (const std::int64_t rows : {1, 5, 7, 13}) {
      Values cos_sin = table(ctx(), 10000, 40, dim);
      const std::vector<std::int64_t> position = reference::random_ids("position", rows, 40);
      Values positions(position);
      // Two heads to turn, and one behind them that stays.
      Values x = draw("x", Shape{rows, 3 * dim});
      const Matrix before = x.matrix();
      rope(ctx(), x.tensor().column_slice(0, 2 * dim), positions.tensor(), cos_sin.tensor(), 2,
           Rotation::forward);
      const Matrix turned = x.matrix();
      EXPECT_LE(
          relative_error(columns_of(turned, 0, 2 * dim),
                         reference::rotary(columns_of(before, 0, 2 * dim), position, 2, 10000, 1)),
          tolerance());
      EXPECT_EQ(columns_of(turned, 2 * dim, 3 * dim).values,
                columns_of(before, 2 * dim, 3 * dim).values);
      rope(ctx(), x.tensor().column_slice(0, 2 * dim), positions.tensor(), cos_sin.tensor(), 2,
           Rotation::backward);
      EXPECT_LE(relative_error(x.matrix(), before), 2 * tolerance());
    }
}

TEST_P(Rope, OfAPartOfEachHeadLeavesTheRest) {
  for (const auto& [dim, part] : {std::pair{86, 64}, {86, 22}, {10, 2}, {64, 40}}) {
    Values cos_sin = table(ctx(), 10000, 40, part);
    const std::vector<std::int64_t> position = reference::random_ids("position", 7, 40);
    Values positions(position);
    Values x = draw("x", Shape{7, 3 * dim});
    const Matrix before = x.matrix();
    std::vector<double> frequency;
    for (int i = 0; i < part / 2; ++i) frequency.push_back(std::pow(10000.0, -2.0 * i / part));
    rope(ctx(), x.tensor(), positions.tensor(), cos_sin.tensor(), 3, Rotation::forward);
    EXPECT_LE(relative_error(x.matrix(), reference::rotary(before, position, 3, frequency, 1)),
              tolerance());
    for (int h = 0; h < 3; ++h)
      EXPECT_EQ(columns_of(x.matrix(), h * dim + part, (h + 1) * dim).values,
                columns_of(before, h * dim + part, (h + 1) * dim).values);
  }
}

TEST_P(Rope, TableErrsByTheRoundingOfTheAngleAlone) {
  Values cos_sin = table(ctx(), 10000, 1024, 64);
  const Matrix got = cos_sin.matrix();
  for (const std::int64_t p : {0, 1, 17, 1023})
    for (std::int64_t i = 0; i < 32; ++i) {
      const double angle = static_cast<double>(p) * std::pow(10000.0, -static_cast<double>(i) / 32);
      // Two roundings of 2^-24: of the frequency and of the product.
      const double bound = angle * 1.3e-7 + 1e-7;
      EXPECT_NEAR(got(p, i), std::cos(angle), bound);
      EXPECT_NEAR(got(p, 32 + i), std::sin(angle), bound);
    }
}

BOREAL_EVERYWHERE(Rope);

class RopeGradient : public Rope {};

TEST_P(RopeGradient, RotatingBackIsTheGradient) {
  const std::vector<std::int64_t> position = {3, 0, 11};
  Values positions(position);
  Values cos_sin = table(ctx(), 500, 12, 8);
  Values x = draw("x", Shape{3, 16});
  Values dy = draw("dy", Shape{3, 16});
  const Matrix expected = numeric_gradient(
      [&](const Matrix& at) {
        return dot(dy.matrix(), reference::rotary(at, position, 2, 500, 1));
      },
      x.matrix());
  rope(ctx(), dy.tensor(), positions.tensor(), cos_sin.tensor(), 2, Rotation::backward);
  EXPECT_LE(relative_error(dy.matrix(), expected), 1e-5);
}

BOREAL_EVERYWHERE_FP32(RopeGradient);

}  // namespace
}  // namespace boreal::kernels
