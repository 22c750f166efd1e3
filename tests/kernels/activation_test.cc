#include <cmath>

#include "kernels/ops.h"
#include "tests/kernels/fixture.h"
#include "tests/reference/operations.h"

namespace boreal::kernels {
namespace {

using reference::Matrix;
using reference::Values;
using tensor::Shape;

class Activation : public KernelTest {};

TEST_P(Activation, SwigluEqualsTheTwinForwardAndBackward) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t ffn : {2, 24, 65, 130}) {
      Values x = draw("x", Shape{rows, 2 * ffn}, 3);
      Values dy = draw("dy", Shape{rows, ffn});
      Values y(dtype(), Shape{rows, ffn});
      Values dx(dtype(), Shape{rows, 2 * ffn});
      swiglu(ctx(), x.tensor(), y.tensor());
      swiglu_backward(ctx(), dy.tensor(), x.tensor(), dx.tensor());
      EXPECT_LE(relative_error(y.matrix(), reference::swiglu(x.matrix())), tolerance());
      EXPECT_LE(relative_error(dx.matrix(), reference::swiglu_backward(dy.matrix(), x.matrix())),
                tolerance());
    }
}

TEST_P(Activation, GeluEqualsTheTwinForwardAndBackward) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {3, 24, 65, 130}) {
      Values x = draw("x", Shape{rows, columns}, 3);
      Values dy = draw("dy", Shape{rows, columns});
      Values y(dtype(), Shape{rows, columns});
      Values dx(dtype(), Shape{rows, columns});
      gelu(ctx(), x.tensor(), y.tensor());
      gelu_backward(ctx(), dy.tensor(), x.tensor(), dx.tensor());
      EXPECT_LE(relative_error(y.matrix(), reference::gelu(x.matrix())), tolerance());
      EXPECT_LE(relative_error(dx.matrix(), reference::gelu_backward(dy.matrix(), x.matrix())),
                tolerance());
    }
}

TEST_P(Activation, SaturatesWithoutOverflowOverTheWholeRangeOfExp) {
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
    // The sigmoid stops at e^-88.3, a share of 5e-39 of x.
    EXPECT_NEAR(swiglu_got(0, i), silu_expected,
                relative * std::abs(silu_expected) + 5e-39 * std::abs(at(0, i)))
        << at(0, i);
    // tanh near -1 leaves absolute errors of an ulp of one times x.
    EXPECT_NEAR(gelu_got(0, i), gelu_expected,
                relative * std::abs(gelu_expected) + 1e-6 * std::min(10.0, std::abs(at(0, i))))
        << at(0, i);
  }
}

TEST_P(Activation, ANotANumberStaysInItsElement) {
  Values x = draw("x", Shape{3, 34});
  Values y(dtype(), Shape{3, 34});
  gelu(ctx(), x.tensor(), y.tensor());
  const Matrix clean = y.matrix();
  Values half(dtype(), Shape{3, 17});
  swiglu(ctx(), x.tensor(), half.tensor());
  const Matrix clean_half = half.matrix();
  for (const std::int64_t at : {0, 16}) {
    Values bad = x;
    bad.set(1, at, std::nan(""));
    gelu(ctx(), bad.tensor(), y.tensor());
    swiglu(ctx(), bad.tensor(), half.tensor());
    for (std::int64_t r = 0; r < 3; ++r)
      for (std::int64_t c = 0; c < 17; ++c) {
        if (r == 1 && c == at) {
          EXPECT_TRUE(std::isnan(y.matrix()(r, c)));
          EXPECT_TRUE(std::isnan(half.matrix()(r, c)));
        } else {
          EXPECT_EQ(y.matrix()(r, c), clean(r, c));
          EXPECT_EQ(half.matrix()(r, c), clean_half(r, c));
        }
      }
  }
}

TEST_P(Activation, GivesTheSameBitsOnOneTwoAndThreeThreads) {
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

BOREAL_EVERYWHERE(Activation);

class ActivationGradient : public Activation {};

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
    rope_table(on_ctx, theta, cos_sin.tensor());
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
