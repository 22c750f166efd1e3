#include "kernels/family_ops.h"
#include "kernels/ops.h"

#include <cmath>

#include "tests/kernels/fixture.h"
#include "tests/reference/operations.h"

namespace boreal::kernels {
namespace {

using reference::Matrix;
using reference::Values;
using tensor::Shape;

class FamilyOps : public KernelTest {
 protected:
  // Of values near -0 a bf16 kernel rounds its result once.
  double rounding() const { return dtype() == DType::f32 ? 1e-6 : 1.0 / 256; }
};

TEST_P(FamilyOps, GeluErfHasItsRelativeErrorInBothTailsAndSaturates) {
  std::vector<double> points = {-1e30, -1e4, 1e4, 1e17, 0, -0.0, 1e-40, -1e-30};
  for (int i = -900; i <= 900; ++i) points.push_back(i * 0.01);
  Values x(dtype(), Matrix(1, static_cast<std::int64_t>(points.size())));
  for (std::size_t i = 0; i < points.size(); ++i) x.set(0, static_cast<std::int64_t>(i), points[i]);
  Values y(dtype(), x.tensor().shape);
  activation(ctx(), Activation::gelu_erf, x.tensor(), y.tensor());
  const Matrix got = y.matrix();
  const Matrix expected = reference::gelu_erf(x.matrix());
  for (std::int64_t i = 0; i < got.columns; ++i) {
    const double want = std::isfinite(expected(0, i)) ? expected(0, i) : 0;
    // e^(-x^2 / 2) feels the rounding of x^2 / 2, up to 40 ulps of it at 9.
    EXPECT_NEAR(got(0, i), want, (rounding() + 4e-6) * std::abs(want) + 1e-37) << x.matrix()(0, i);
  }
}

TEST_P(FamilyOps, SoftCapEqualsTheTwinForSmallAndForLargeLogits) {
  for (const double size : {1e-3, 1.0, 20.0, 1e4}) {
    Values x = reference::random_values("x", DType::f32, Shape{5, 67}, size);
    const Matrix before = x.matrix();
    soft_cap(ctx(), x.tensor(), 30);
    EXPECT_LE(relative_error(x.matrix(), reference::soft_cap(before, 30)), 1e-6) << size;
  }
}

TEST_P(FamilyOps, ScalesShiftsAndAdds) {
  for (const std::int64_t columns : {1, 17, 130}) {
    Values a = draw("a", Shape{3, columns});
    Values b = draw("b", Shape{3, columns});
    Values y(dtype(), Shape{3, columns});
    affine(ctx(), a.tensor(), 3, 1, y.tensor());
    Matrix expected = a.matrix();
    for (double& value : expected.values) value = 3 * value + 1;
    EXPECT_LE(relative_error(y.matrix(), expected), tolerance());
    add(ctx(), a.tensor(), b.tensor(), y.tensor());
    EXPECT_LE(relative_error(y.matrix(), a.matrix() + b.matrix()), tolerance());
    add(ctx(), a.tensor(), b.tensor(), b.tensor());
    EXPECT_EQ(b.bytes(), y.bytes());
  }
}

// Heads that are columns of something wider, as queries are of the fused projection.
TEST_P(FamilyOps, HeadNormEqualsTheTwinOfEachHead) {
  constexpr double kEps = 1e-5;
  for (const std::int64_t width : {2, 14, 86})
    for (const std::int64_t groups : {1, 3})
      for (const std::int64_t rows : {1, 7}) {
        const std::int64_t columns = groups * width;
        Values wide = draw("x", Shape{rows, columns + 5});
        Values d_wide = draw("dy", Shape{rows, columns + 3});
        Values out(dtype(), Shape{rows, columns});
        Values dx_wide = draw("dx", Shape{rows, columns + 5});
        const Matrix dx_before = dx_wide.matrix();
        Values w = reference::random_values("w", DType::f32, Shape{1, width});
        Values rstd(DType::f32, Shape{rows, groups});
        Values dots(DType::f32, Shape{rows, groups});
        Values dw(DType::f32, Shape{1, width});
        const Tensor x = wide.tensor().column_slice(0, columns);
        const Tensor dy = d_wide.tensor().column_slice(0, columns);
        const auto count = static_cast<double>(width);
        head_squares(ctx(), x, rstd.tensor());
        head_scales(ctx(), rstd.tensor(), count, kEps);
        head_norm(ctx(), x, w.tensor(), rstd.tensor(), out.tensor());
        head_dots(ctx(), dy, x, w.tensor(), dots.tensor());
        head_norm_backward(ctx(), dy, x, w.tensor(), rstd.tensor(), dots.tensor(), count,
                           dx_wide.tensor().column_slice(0, columns));
        head_norm_weight(ctx(), dy, x, rstd.tensor(), dw.tensor());

        Matrix y_twin(rows, 0);
        Matrix dx_twin(rows, 0);
        Matrix dw_twin(1, width);
        for (std::int64_t c = 0; c < columns; c += width) {
          const Matrix part = columns_of(wide.matrix(), c, c + width);
          const auto d = reference::rms_norm_backward(columns_of(d_wide.matrix(), c, c + width),
                                                      part, w.matrix(), kEps);
          y_twin = beside(y_twin, reference::rms_norm(part, w.matrix(), kEps));
          dx_twin = beside(dx_twin, d.dx);
          dw_twin = dw_twin + d.dw;
        }
        EXPECT_LE(relative_error(out.matrix(), y_twin), tolerance());
        EXPECT_LE(relative_error(columns_of(dx_wide.matrix(), 0, columns), dx_twin), tolerance());
        EXPECT_LE(relative_error(dw.matrix(), dw_twin), 1e-5);
        EXPECT_EQ(columns_of(dx_wide.matrix(), columns, columns + 5).values,
                  columns_of(dx_before, columns, columns + 5).values);
      }
}

TEST_P(FamilyOps, ANotANumberStaysInItsElementOrItsHead) {
  Values x = draw("x", Shape{3, 34});
  x.set(1, 4, std::nan(""));
  Values y(dtype(), Shape{3, 34});
  activation(ctx(), Activation::gelu_erf, x.tensor(), y.tensor());
  for (std::int64_t r = 0; r < 3; ++r)
    for (std::int64_t c = 0; c < 34; ++c) EXPECT_EQ(std::isnan(y.matrix()(r, c)), r == 1 && c == 4);
  Values rstd(DType::f32, Shape{3, 2});
  Values w(DType::f32, Matrix(1, 17, 1));
  head_squares(ctx(), x.tensor(), rstd.tensor());
  head_scales(ctx(), rstd.tensor(), 17, 1e-5);
  head_norm(ctx(), x.tensor(), w.tensor(), rstd.tensor(), y.tensor());
  for (std::int64_t r = 0; r < 3; ++r)
    for (std::int64_t c = 0; c < 34; ++c) EXPECT_EQ(std::isnan(y.matrix()(r, c)), r == 1 && c < 17);
}

BOREAL_EVERYWHERE(FamilyOps);

TEST(FamilyTwins, BackwardIsTheirFiniteDifferences) {
  const Matrix x = reference::random_matrix("x", 3, 14, 2);
  const Matrix dy = reference::random_matrix("dy", 3, 14);
  const Matrix half = columns_of(dy, 0, 7);
  const auto near = [](const Matrix& d, const std::function<double(const Matrix&)>& f,
                       const Matrix& at) {
    EXPECT_LE(relative_error(d, numeric_gradient(f, at)), 1e-8);
  };
  near(
      reference::gelu_erf_backward(dy, x),
      [&](const Matrix& at) { return dot(dy, reference::gelu_erf(at)); }, x);
  near(
      reference::geglu_backward(half, x),
      [&](const Matrix& at) { return dot(half, reference::geglu(at)); }, x);
  near(
      reference::soft_cap_backward(dy, x, 1.5),
      [&](const Matrix& at) { return dot(dy, reference::soft_cap(at, 1.5)); }, x);
}

}  // namespace
}  // namespace boreal::kernels
