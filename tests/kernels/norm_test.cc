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

constexpr double kEps = 1e-5;

class NormKernel : public KernelTest {
 protected:
  static Values weights(const std::string& name, std::int64_t columns) {
    return reference::random_values(name, DType::f32, Shape{1, columns});
  }

  struct Rms {
    Values y, rstd, dx, dw;
  };
  Rms rms(const Context& on_ctx, Values& x, Values& w, Values& dy, Values* dres) {
    const Shape shape = x.tensor().shape;
    Rms out{Values(dtype(), shape), Values(DType::f32, Shape{shape[0]}), Values(dtype(), shape),
            Values(DType::f32, Shape{1, shape[1]})};
    Tensor rstd = out.rstd.tensor();
    rms_norm(on_ctx, x.tensor(), w.tensor(), out.y.tensor(), &rstd, kEps);
    Tensor residual;
    if (dres != nullptr) residual = dres->tensor();
    rms_norm_backward(on_ctx, dy.tensor(), x.tensor(), w.tensor(), rstd,
                      dres != nullptr ? &residual : nullptr, out.dx.tensor());
    rms_norm_weight(on_ctx, dy.tensor(), x.tensor(), rstd, out.dw.tensor());
    return out;
  }

  struct Layer {
    Values y, mean, rstd, dx, dw, db;
  };
  Layer layer(const Context& on_ctx, Values& x, Values& w, Values& b, Values& dy, Values* dres) {
    const Shape shape = x.tensor().shape;
    const Shape row{1, shape[1]};
    Layer out{Values(dtype(), shape),
              Values(DType::f32, Shape{shape[0]}),
              Values(DType::f32, Shape{shape[0]}),
              Values(dtype(), shape),
              Values(DType::f32, row),
              Values(DType::f32, row)};
    Tensor mean = out.mean.tensor();
    Tensor rstd = out.rstd.tensor();
    layer_norm(on_ctx, x.tensor(), w.tensor(), b.tensor(), out.y.tensor(), &mean, &rstd, kEps);
    Tensor residual;
    if (dres != nullptr) residual = dres->tensor();
    layer_norm_backward(on_ctx, dy.tensor(), x.tensor(), w.tensor(), mean, rstd,
                        dres != nullptr ? &residual : nullptr, out.dx.tensor());
    layer_norm_weight(on_ctx, dy.tensor(), x.tensor(), mean, rstd, out.dw.tensor(),
                      out.db.tensor());
    return out;
  }
};

TEST_P(NormKernel, RmsEqualsTheTwinForwardAndBackward) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {3, 24, 65, 130}) {
      Values x = draw("x", Shape{rows, columns}, 3);
      Values w = weights("w", columns);
      Values dy = draw("dy", Shape{rows, columns});
      Values dres = draw("dres", Shape{rows, columns});
      const Rms plain = rms(ctx(), x, w, dy, nullptr);
      const auto d = reference::rms_norm_backward(dy.matrix(), x.matrix(), w.matrix(), kEps);
      EXPECT_LE(relative_error(plain.y.matrix(), reference::rms_norm(x.matrix(), w.matrix(), kEps)),
                tolerance());
      EXPECT_LE(relative_error(plain.dx.matrix(), d.dx), tolerance());
      EXPECT_LE(relative_error(plain.dw.matrix(), d.dw), 1e-5);
      const Rms with = rms(ctx(), x, w, dy, &dres);
      EXPECT_LE(relative_error(with.dx.matrix(), d.dx + dres.matrix()), tolerance());
    }
}

TEST_P(NormKernel, LayerEqualsTheTwinForwardAndBackward) {
  for (const std::int64_t rows : {1, 5, 7, 13})
    for (const std::int64_t columns : {3, 24, 65, 130}) {
      Values x(dtype(), add_to_rows(reference::random_matrix("x", rows, columns, 3),
                                    Matrix(1, columns, 5)));  // a mean far from zero
      Values w = weights("w", columns);
      Values b = weights("b", columns);
      Values dy = draw("dy", Shape{rows, columns});
      Values dres = draw("dres", Shape{rows, columns});
      const Layer plain = layer(ctx(), x, w, b, dy, nullptr);
      const auto d = reference::layer_norm_backward(dy.matrix(), x.matrix(), w.matrix(), kEps);
      EXPECT_LE(relative_error(plain.y.matrix(),
                               reference::layer_norm(x.matrix(), w.matrix(), b.matrix(), kEps)),
                tolerance());
      EXPECT_LE(relative_error(plain.dx.matrix(), d.dx), tolerance());
      EXPECT_LE(relative_error(plain.dw.matrix(), d.dw), 1e-5);
      EXPECT_LE(relative_error(plain.db.matrix(), d.db), 1e-5);
      const Layer with = layer(ctx(), x, w, b, dy, &dres);
      EXPECT_LE(relative_error(with.dx.matrix(), d.dx + dres.matrix()), tolerance());
    }
}

TEST_P(NormKernel, WeightGradientsAddToWhatIsThere) {
  Values x = draw("x", Shape{5, 30});
  Values dy = draw("dy", Shape{5, 30});
  Values w = weights("w", 30);
  const Rms once = rms(ctx(), x, w, dy, nullptr);
  Values rstd = once.rstd;
  Values twice = once.dw;
  rms_norm_weight(ctx(), dy.tensor(), x.tensor(), rstd.tensor(), twice.tensor());
  EXPECT_LE(relative_error(twice.matrix(), once.dw.matrix() + once.dw.matrix()), 1e-6);
}

TEST_P(NormKernel, GivesTheSameBitsAloneAndOnTwoThreads) {
  Values x = draw("x", Shape{13, 130});
  Values w = weights("w", 130);
  Values b = weights("b", 130);
  Values dy = draw("dy", Shape{13, 130});
  Rms r = rms(ctx(), x, w, dy, nullptr);
  Layer l = layer(ctx(), x, w, b, dy, nullptr);
  for (const std::int64_t threads : {2, 3}) {
    device::Pool pool(threads);
    const Rms r2 = rms(on(pool), x, w, dy, nullptr);
    const Layer l2 = layer(on(pool), x, w, b, dy, nullptr);
    EXPECT_EQ(r.y.bytes(), r2.y.bytes());
    EXPECT_EQ(r.dx.bytes(), r2.dx.bytes());
    EXPECT_EQ(r.dw.bytes(), r2.dw.bytes());
    EXPECT_EQ(l.y.bytes(), l2.y.bytes());
    EXPECT_EQ(l.dx.bytes(), l2.dx.bytes());
    EXPECT_EQ(l.dw.bytes(), l2.dw.bytes());
    EXPECT_EQ(l.db.bytes(), l2.db.bytes());
  }
  Values row(dtype(), matrix_of(x.tensor().row_slice(6, 7)));
  Values d_row(dtype(), matrix_of(dy.tensor().row_slice(6, 7)));
  const Rms alone = rms(ctx(), row, w, d_row, nullptr);
  EXPECT_EQ(alone.y.bytes(), bytes_of_tensor(r.y.tensor().row_slice(6, 7)));
  EXPECT_EQ(alone.dx.bytes(), bytes_of_tensor(r.dx.tensor().row_slice(6, 7)));
}

TEST_P(NormKernel, ANotANumberOrInfinityStaysInItsRow) {
  Values w = weights("w", 33);
  Values b = weights("b", 33);
  Values clean = draw("x", Shape{5, 33});
  Values dy = draw("dy", Shape{5, 33});
  const Matrix rms_clean = rms(ctx(), clean, w, dy, nullptr).y.matrix();
  const Matrix layer_clean = layer(ctx(), clean, w, b, dy, nullptr).y.matrix();
  for (const double bad : {std::nan(""), double{INFINITY}, -double{INFINITY}})
    for (const std::int64_t at : {0, 32}) {
      Values x = clean;
      x.set(2, at, bad);
      const Matrix rms_bad = rms(ctx(), x, w, dy, nullptr).y.matrix();
      const Matrix layer_bad = layer(ctx(), x, w, b, dy, nullptr).y.matrix();
      EXPECT_TRUE(std::isnan(rms_bad(2, at)));
      EXPECT_TRUE(std::isnan(layer_bad(2, at)));
      for (const std::int64_t r : {0, 1, 3, 4})
        for (std::int64_t c = 0; c < 33; ++c) {
          EXPECT_EQ(rms_bad(r, c), rms_clean(r, c));
          EXPECT_EQ(layer_bad(r, c), layer_clean(r, c));
        }
    }
}

BOREAL_EVERYWHERE(NormKernel);

class NormGradient : public NormKernel {};

TEST_P(NormGradient, BackwardEqualsFiniteDifferencesOfTheTwin) {
  Values x = draw("x", Shape{3, 7});
  Values w = weights("w", 7);
  Values b = weights("b", 7);
  Values dy = draw("dy", Shape{3, 7});
  const auto rms_of = [&](const Matrix& x_at, const Matrix& w_at) {
    return dot(dy.matrix(), reference::rms_norm(x_at, w_at, kEps));
  };
  const Rms r = rms(ctx(), x, w, dy, nullptr);
  EXPECT_LE(
      relative_error(
          r.dx.matrix(),
          numeric_gradient([&](const Matrix& at) { return rms_of(at, w.matrix()); }, x.matrix())),
      1e-5);
  EXPECT_LE(
      relative_error(
          r.dw.matrix(),
          numeric_gradient([&](const Matrix& at) { return rms_of(x.matrix(), at); }, w.matrix())),
      1e-5);
  const auto layer_of = [&](const Matrix& x_at, const Matrix& w_at, const Matrix& b_at) {
    return dot(dy.matrix(), reference::layer_norm(x_at, w_at, b_at, kEps));
  };
  const Layer l = layer(ctx(), x, w, b, dy, nullptr);
  EXPECT_LE(
      relative_error(
          l.dx.matrix(),
          numeric_gradient([&](const Matrix& at) { return layer_of(at, w.matrix(), b.matrix()); },
                           x.matrix())),
      1e-5);
  EXPECT_LE(
      relative_error(
          l.dw.matrix(),
          numeric_gradient([&](const Matrix& at) { return layer_of(x.matrix(), at, b.matrix()); },
                           w.matrix())),
      1e-5);
  EXPECT_LE(
      relative_error(
          l.db.matrix(),
          numeric_gradient([&](const Matrix& at) { return layer_of(x.matrix(), w.matrix(), at); },
                           b.matrix())),
      1e-5);
}

BOREAL_EVERYWHERE_FP32(NormGradient);

}  // namespace
}  // namespace boreal::kernels
