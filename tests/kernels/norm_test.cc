#include <algorithm>
#include <array>
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
// Around the widths of vectors and of four of them, and a model's.
constexpr std::array<std::int64_t, 12> kColumns = {1, 2, 3, 15, 16, 17, 63, 64, 65, 86, 768, 1000};
constexpr std::array<std::int64_t, 4> kRows = {1, 5, 7, 70};

// Largest difference against the size of the terms that dx is a difference of: of rows of one or
// two columns nothing is left but their rounding.
double apart(const Matrix& got, const Matrix& expected, Values& dy, Values& w, Values& rstd) {
  CHECK(got.same_shape(expected));
  double worst = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double difference = std::abs(got.values[i] - expected.values[i]);
    if (!std::isfinite(difference)) return difference;  // fails any comparison, or is too large
    worst = std::max(worst, difference);
  }
  const double terms = largest(dy.matrix()) * largest(w.matrix()) * largest(rstd.matrix());
  return worst / std::max(terms, largest(expected));
}

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
    Values partials(DType::f32, norm_partials(shape[0], w.tensor(), false));
    const NormWeights weights{out.dw.tensor(), {}, partials.tensor()};
    rms_norm_backward(on_ctx, dy.tensor(), x.tensor(), w.tensor(), rstd,
                      dres != nullptr ? &residual : nullptr, out.dx.tensor(), &weights);
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
    Values partials(DType::f32, norm_partials(shape[0], w.tensor(), true));
    const NormWeights weights{out.dw.tensor(), out.db.tensor(), partials.tensor()};
    layer_norm_backward(on_ctx, dy.tensor(), x.tensor(), w.tensor(), mean, rstd,
                        dres != nullptr ? &residual : nullptr, out.dx.tensor(), &weights);
    return out;
  }
};

TEST_P(NormKernel, RmsEqualsTheTwinForwardAndBackward) {
  for (const std::int64_t rows : kRows)
    for (const std::int64_t columns : kColumns) {
      Values x = draw("x", Shape{rows, columns}, 3);
      Values w = weights("w", columns);
      Values dy = draw("dy", Shape{rows, columns});
      Values dres = draw("dres", Shape{rows, columns});
      Rms plain = rms(ctx(), x, w, dy, nullptr);
      const auto d = reference::rms_norm_backward(dy.matrix(), x.matrix(), w.matrix(), kEps);
      EXPECT_LE(relative_error(plain.y.matrix(), reference::rms_norm(x.matrix(), w.matrix(), kEps)),
                tolerance());
      EXPECT_LE(apart(plain.dx.matrix(), d.dx, dy, w, plain.rstd), tolerance());
      EXPECT_LE(relative_error(plain.dw.matrix(), d.dw), 1e-5);
      Rms with = rms(ctx(), x, w, dy, &dres);
      EXPECT_LE(apart(with.dx.matrix(), d.dx + dres.matrix(), dy, w, with.rstd), tolerance());
    }
}

TEST_P(NormKernel, LayerEqualsTheTwinForwardAndBackward) {
  for (const std::int64_t rows : kRows)
    for (const std::int64_t columns : kColumns) {
      Values x(dtype(), add_to_rows(reference::random_matrix("x", rows, columns, 3),
                                    Matrix(1, columns, 5)));  // a mean far from zero
      Values w = weights("w", columns);
      Values b = weights("b", columns);
      Values dy = draw("dy", Shape{rows, columns});
      Values dres = draw("dres", Shape{rows, columns});
      Layer plain = layer(ctx(), x, w, b, dy, nullptr);
      const auto d = reference::layer_norm_backward(dy.matrix(), x.matrix(), w.matrix(), kEps);
      EXPECT_LE(relative_error(plain.y.matrix(),
                               reference::layer_norm(x.matrix(), w.matrix(), b.matrix(), kEps)),
                tolerance());
      EXPECT_LE(apart(plain.dx.matrix(), d.dx, dy, w, plain.rstd), tolerance());
      EXPECT_LE(relative_error(plain.dw.matrix(), d.dw), 1e-5);
      EXPECT_LE(relative_error(plain.db.matrix(), d.db), 1e-5);
      Layer with = layer(ctx(), x, w, b, dy, &dres);
      EXPECT_LE(apart(with.dx.matrix(), d.dx + dres.matrix(), dy, w, with.rstd), tolerance());
    }
}

TEST_P(NormKernel, WeightGradientsAddBlockByBlockToWhatIsThere) {
  // 130 rows are three blocks; cut after the first, both parts give the bits of the whole.
  Values x = draw("x", Shape{130, 30});
  Values dy = draw("dy", Shape{130, 30});
  Values w = weights("w", 30);
  Values b = weights("b", 30);
  const Rms whole = rms(ctx(), x, w, dy, nullptr);
  Layer whole_layer = layer(ctx(), x, w, b, dy, nullptr);
  Values dw(DType::f32, Shape{1, 30});
  Values dx(dtype(), Shape{130, 30});
  for (const auto& [begin, end] : {std::pair{0, 64}, std::pair{64, 130}}) {
    const auto part = [&](Values& v) { return v.tensor().row_slice(begin, end); };
    Values rstd(DType::f32, Shape{end - begin});
    Tensor scale = rstd.tensor();
    rms_norm(ctx(), part(x), w.tensor(), part(dx), &scale, kEps);
    Values partials(DType::f32, norm_partials(end - begin, w.tensor(), false));
    const NormWeights into{dw.tensor(), {}, partials.tensor()};
    rms_norm_backward(ctx(), part(dy), part(x), w.tensor(), scale, nullptr, part(dx), &into);
  }
  EXPECT_EQ(dw.bytes(), whole.dw.bytes());
  EXPECT_EQ(dx.bytes(), whole.dx.bytes());
  EXPECT_LE(relative_error(whole_layer.db.matrix(), column_sums(dy.matrix())), 1e-5);
}

TEST_P(NormKernel, TakesAResidualOnTheWayAndAddsOneAfter) {
  for (const std::int64_t columns : kColumns) {
    Values x = draw("x", Shape{5, columns}, 3);
    Values r = draw("r", Shape{5, columns}, 3);
    Values after = draw("after", Shape{5, columns});
    Values w = weights("w", columns);
    Values b = weights("b", columns);
    Values sum(dtype(), Shape{5, columns});
    Values y(dtype(), Shape{5, columns});
    const Tensor r_view = r.tensor();
    const Tensor after_view = after.tensor();
    const NormOptions with{.residual = &r_view, .sum = sum.tensor()};
    rms_norm(ctx(), x.tensor(), w.tensor(), y.tensor(), nullptr, kEps, with);
    EXPECT_EQ(sum.bytes(), Values(dtype(), x.matrix() + r.matrix()).bytes());
    // To the bit what the norm of the rounded sum is.
    Values again(dtype(), Shape{5, columns});
    rms_norm(ctx(), sum.tensor(), w.tensor(), again.tensor(), nullptr, kEps);
    EXPECT_EQ(y.bytes(), again.bytes());
    layer_norm(ctx(), x.tensor(), w.tensor(), b.tensor(), y.tensor(), nullptr, nullptr, kEps, with);
    layer_norm(ctx(), sum.tensor(), w.tensor(), b.tensor(), again.tensor(), nullptr, nullptr, kEps);
    EXPECT_EQ(y.bytes(), again.bytes());
    const NormOptions then{.after = &after_view};
    rms_norm(ctx(), x.tensor(), w.tensor(), y.tensor(), nullptr, kEps, then);
    EXPECT_LE(relative_error(y.matrix(),
                             reference::rms_norm(x.matrix(), w.matrix(), kEps) + after.matrix()),
              tolerance());
  }
}

TEST_P(NormKernel, TheWeightMayStandForItsDistanceFromOne) {
  Values x = draw("x", Shape{7, 65});
  Values dy = draw("dy", Shape{7, 65});
  Values w = weights("w", 65);
  const Matrix moved = w.matrix() + Matrix(1, 65, 1);
  Values y(dtype(), Shape{7, 65});
  Values dx(dtype(), Shape{7, 65});
  Values rstd(DType::f32, Shape{7});
  Tensor scale = rstd.tensor();
  rms_norm(ctx(), x.tensor(), w.tensor(), y.tensor(), &scale, kEps, {.offset = 1});
  rms_norm_backward(ctx(), dy.tensor(), x.tensor(), w.tensor(), scale, nullptr, dx.tensor(),
                    nullptr, 1);
  EXPECT_LE(relative_error(y.matrix(), reference::rms_norm(x.matrix(), moved, kEps)), tolerance());
  EXPECT_LE(relative_error(dx.matrix(),
                           reference::rms_norm_backward(dy.matrix(), x.matrix(), moved, kEps).dx),
            tolerance());
}

TEST_P(NormKernel, NormsEachHeadOfAWiderRowByItself) {
  constexpr std::int64_t kHeads = 3;
  for (const std::int64_t dim : {1, 15, 16, 64, 86}) {
    // Heads lie in the middle of rows of a fused product.
    Values x = draw("x", Shape{70, kHeads * dim + 7});
    Values dy = draw("dy", Shape{70, kHeads * dim + 7});
    Values w = weights("w", dim);
    Values y(dtype(), Shape{70, kHeads * dim});
    Values dx(dtype(), Shape{70, kHeads * dim + 7});
    Values rstd(DType::f32, Shape{70 * kHeads});
    Values dw(DType::f32, Shape{1, dim});
    Values partials(DType::f32, norm_partials(70, w.tensor(), false));
    Tensor scale = rstd.tensor();
    const auto heads = [&](Values& v) { return v.tensor().column_slice(3, 3 + kHeads * dim); };
    rms_norm(ctx(), heads(x), w.tensor(), y.tensor(), &scale, kEps);
    const NormWeights into{dw.tensor(), {}, partials.tensor()};
    rms_norm_backward(ctx(), heads(dy), heads(x), w.tensor(), scale, nullptr, heads(dx), &into);
    Matrix dw_expected(1, dim);
    for (std::int64_t h = 0; h < kHeads; ++h) {
      const auto head = [&](const Matrix& m, std::int64_t from) {
        return columns_of(m, from + h * dim, from + (h + 1) * dim);
      };
      const Matrix x_head = head(x.matrix(), 3);
      const auto d = reference::rms_norm_backward(head(dy.matrix(), 3), x_head, w.matrix(), kEps);
      EXPECT_LE(relative_error(head(y.matrix(), 0), reference::rms_norm(x_head, w.matrix(), kEps)),
                tolerance());
      EXPECT_LE(apart(head(dx.matrix(), 3), d.dx, dy, w, rstd), tolerance());
      dw_expected = dw_expected + d.dw;
    }
    EXPECT_LE(relative_error(dw.matrix(), dw_expected), 1e-5);
    // What lies around the heads is not touched.
    EXPECT_EQ(largest(columns_of(dx.matrix(), 0, 3)), 0);
    EXPECT_EQ(largest(columns_of(dx.matrix(), 3 + kHeads * dim, 7 + kHeads * dim)), 0);
  }
}

TEST_P(NormKernel, GivesTheSameBitsAloneAndOnTwoThreads) {
  Values x = draw("x", Shape{200, 130});
  Values w = weights("w", 130);
  Values b = weights("b", 130);
  Values dy = draw("dy", Shape{200, 130});
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

TEST_P(NormKernel, ANotANumberInAGradientStaysInItsRowAndReachesTheWeight) {
  Values x = draw("x", Shape{70, 33});
  Values w = weights("w", 33);
  Values b = weights("b", 33);
  Values dy = draw("dy", Shape{70, 33});
  const Matrix rms_clean = rms(ctx(), x, w, dy, nullptr).dx.matrix();
  const Matrix layer_clean = layer(ctx(), x, w, b, dy, nullptr).dx.matrix();
  dy.set(66, 32, std::nan(""));
  const Rms r = rms(ctx(), x, w, dy, nullptr);
  const Layer l = layer(ctx(), x, w, b, dy, nullptr);
  const Matrix rms_dx = r.dx.matrix();
  const Matrix layer_dx = l.dx.matrix();
  for (std::int64_t row = 0; row < 70; ++row)
    for (std::int64_t c = 0; c < 33; ++c) {
      if (row == 66) {
        EXPECT_TRUE(std::isnan(rms_dx(row, c)) && std::isnan(layer_dx(row, c)));
      } else {
        EXPECT_EQ(rms_dx(row, c), rms_clean(row, c));
        EXPECT_EQ(layer_dx(row, c), layer_clean(row, c));
      }
    }
  for (std::int64_t c = 0; c < 33; ++c) {
    EXPECT_EQ(std::isnan(r.dw.matrix()(0, c)), c == 32);
    EXPECT_EQ(std::isnan(l.dw.matrix()(0, c)), c == 32);
    EXPECT_EQ(std::isnan(l.db.matrix()(0, c)), c == 32);
  }
}

TEST_P(NormKernel, DenormalRowsAreNormed) {
  // Squares of these are zero: the row is divided by sqrt(eps).
  Values x(dtype(), Matrix(1, 33, 1e-39));
  Values w(DType::f32, Matrix(1, 33, 1));
  Values y(dtype(), Shape{1, 33});
  rms_norm(ctx(), x.tensor(), w.tensor(), y.tensor(), nullptr, kEps);
  EXPECT_LE(relative_error(y.matrix(), reference::rms_norm(x.matrix(), w.matrix(), kEps)),
            tolerance());
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
