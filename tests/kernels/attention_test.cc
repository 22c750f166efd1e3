#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/kernels/attention_rig.h"

namespace boreal::kernels {
namespace {

using reference::bytes_of_tensor;
using reference::Matrix;
using reference::matrix_of;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

class Attention : public AttentionRig {};

TEST_P(Attention, EqualsTheTwinAtEveryHeadSize) {
  for (const std::int64_t dim : {8, 32, 64, 86, 128}) {
    SCOPED_TRACE(dim);
    expect_twin(make(4, 2, dim, {1, 5, 70, 13}));
  }
}

TEST_P(Attention, EqualsTheTwinAtEveryLengthAndGrouping) {
  expect_twin(make(3, 3, 16, {7}));
  expect_twin(make(3, 1, 16, {64, 1, 65}));
  expect_twin(make(6, 2, 20, {63, 128, 2}));
  expect_twin(make(1, 1, 72, {130, 13}));
}

TEST_P(Attention, GivesADocumentTheSameBitsAloneAndBehindOthers) {
  const Case packed = make(4, 2, 24, {37, 100, 9});
  Values qkv = draw("qkv", Shape{packed.rows(), packed.width()});
  Values d_o = draw("d_o", Shape{packed.rows(), packed.q_width()});
  Outputs all = run(ctx(), packed, qkv, &d_o);
  std::int64_t row = 0;
  for (const std::int64_t length : packed.lengths) {
    const Case alone = make(4, 2, 24, {length});
    Values own_qkv(dtype(), matrix_of(qkv.tensor().row_slice(row, row + length)));
    Values own_d_o(dtype(), matrix_of(d_o.tensor().row_slice(row, row + length)));
    const Outputs one = run(ctx(), alone, own_qkv, &own_d_o);
    EXPECT_EQ(one.o.bytes(), bytes_of_tensor(all.o.tensor().row_slice(row, row + length)));
    EXPECT_EQ(one.d_qkv.bytes(), bytes_of_tensor(all.d_qkv.tensor().row_slice(row, row + length)));
    EXPECT_EQ(one.lse.bytes(), bytes_of_tensor(all.lse.tensor().column_slice(row, row + length)));
    row += length;
  }
}

TEST_P(Attention, GivesTheSameBitsWholeInChunksAndTokenByToken) {
  for (const std::int64_t dim : {24, 86}) {
    const Case whole = make(4, 2, dim, {150});
    Values qkv = draw("qkv", Shape{150, whole.width()});
    const Outputs expected = run(ctx(), whole, qkv, nullptr);
    // The cache starts at some row of a longer memory whose other rows are not to be read.
    constexpr std::int64_t kCacheBegin = 5;
    Values cache(dtype(), Matrix(200, whole.width(), std::nan("")));
    const Tensor all = qkv.tensor();
    const Matrix numbers = qkv.matrix();
    for (const std::vector<std::int64_t>& chunks :
         {std::vector<std::int64_t>(150, 1), {64, 64, 22}, {1, 62, 2, 85}, {100, 1, 49}}) {
      std::int64_t done = 0;
      Values scratch(DType::f32, Shape{attention_forward_scratch(ctx(), whole.shape, dtype())});
      for (const std::int64_t n : chunks) {
        for (std::int64_t r = done; r < done + n; ++r)
          for (std::int64_t c = 0; c < whole.width(); ++c)
            cache.set(kCacheBegin + r, c, numbers(r, c));
        Values o(dtype(), Shape{n, whole.q_width()});
        const std::vector<AttentionSpan> span = {{0, n, done, kCacheBegin, done + n}};
        attention_forward(ctx(), whole.shape, span, q_of(whole, all.row_slice(done, done + n)),
                          k_of(whole, cache.tensor()), v_of(whole, cache.tensor()), o.tensor(),
                          nullptr, scratch.tensor());
        Values copy = expected.o;
        ASSERT_EQ(o.bytes(), bytes_of_tensor(copy.tensor().row_slice(done, done + n)))
            << "queries " << done << " to " << done + n;
        done += n;
      }
    }
  }
}

TEST_P(Attention, GivesTheSameBitsOnOneTwoAndThreeThreads) {
  const Case c = make(6, 3, 40, {70, 3, 90});
  Values qkv = draw("qkv", Shape{c.rows(), c.width()});
  Values d_o = draw("d_o", Shape{c.rows(), c.q_width()});
  const Outputs expected = run(ctx(), c, qkv, &d_o);
  for (const std::int64_t threads : {2, 3}) {
    device::Pool pool(threads);
    const Outputs got = run(on(pool), c, qkv, &d_o);
    EXPECT_EQ(got.o.bytes(), expected.o.bytes());
    EXPECT_EQ(got.lse.bytes(), expected.lse.bytes());
    EXPECT_EQ(got.d_qkv.bytes(), expected.d_qkv.bytes());
  }
}

TEST_P(Attention, SurvivesScoresFarApart) {
  // Scores of thousands: weights are one and zero, nothing overflows.
  const Case c = make(2, 2, 8, {70});
  Values qkv = draw("qkv", Shape{70, c.width()}, 60);
  Values d_o = draw("d_o", Shape{70, c.q_width()});
  Outputs got = run(ctx(), c, qkv, &d_o);
  const Tensor t = qkv.tensor();
  const auto expected = reference::attention({2, 2}, c.documents(), matrix_of(q_of(c, t)),
                                             matrix_of(k_of(c, t)), matrix_of(v_of(c, t)));
  // A score of 10^4 has an fp32 spacing of 10^-3, which is the relative error of a weight.
  EXPECT_LE(relative_error(got.o.matrix(), expected.o), tolerance() + 5e-3);
  EXPECT_TRUE(std::isfinite(largest(got.d_qkv.matrix())));
  for (const double value : got.d_qkv.matrix().values) EXPECT_TRUE(std::isfinite(value));
}

TEST_P(Attention, ANotANumberStaysInItsDocumentAndReachesAllLaterQueries) {
  const Case c = make(2, 1, 16, {20, 30, 10});
  Values clean = draw("qkv", Shape{c.rows(), c.width()});
  Values d_o = draw("d_o", Shape{c.rows(), c.q_width()});
  const Matrix expected = run(ctx(), c, clean, &d_o).o.matrix();
  for (const double bad : {std::nan(""), double{INFINITY}}) {
    Values qkv = clean;
    qkv.set(25, c.q_width() + 3, bad);  // the key of the second document's sixth token
    const Matrix got = run(ctx(), c, qkv, &d_o).o.matrix();
    for (std::int64_t r = 0; r < c.rows(); ++r)
      for (std::int64_t i = 0; i < c.q_width(); ++i) {
        if (r < 25 || r >= 50) {
          EXPECT_EQ(got(r, i), expected(r, i)) << r;
        } else if (std::isnan(bad)) {
          EXPECT_TRUE(std::isnan(got(r, i))) << r;
        }
      }
  }
}

BOREAL_EVERYWHERE(Attention);

class AttentionGradient : public Attention {};

TEST_P(AttentionGradient, BackwardEqualsFiniteDifferencesOfTheTwin) {
  const Case c = make(2, 1, 8, {4, 3});
  Values qkv = draw("qkv", Shape{c.rows(), c.width()});
  Values d_o = draw("d_o", Shape{c.rows(), c.q_width()});
  const Outputs got = run(ctx(), c, qkv, &d_o);
  const Matrix d = numeric_gradient(
      [&](const Matrix& x) {
        const Matrix q = columns_of(x, 0, c.q_width());
        const Matrix k = columns_of(x, c.q_width(), c.q_width() + c.kv_width());
        const Matrix v = columns_of(x, c.q_width() + c.kv_width(), c.width());
        return dot(d_o.matrix(), reference::attention({2, 1}, c.documents(), q, k, v).o);
      },
      qkv.matrix());
  EXPECT_LE(relative_error(got.d_qkv.matrix(), d), tolerance());
}

BOREAL_EVERYWHERE_FP32(AttentionGradient);

TEST(AttentionDeathTest, RefusesMoreKeysThanTheScratchIsFor) {
  device::Pool pool(1);
  const device::Context ctx = device::cpu_context(pool);
  const AttentionShape shape{1, 1, 8, 4};
  Values qkv(DType::f32, Shape{5, 8});
  Values scratch(DType::f32, Shape{attention_forward_scratch(ctx, shape, DType::f32)});
  const std::vector<AttentionSpan> span = {{0, 5, 0, 0, 5}};
  EXPECT_DEATH(attention_forward(ctx, shape, span, qkv.tensor(), qkv.tensor(), qkv.tensor(),
                                 qkv.tensor(), nullptr, scratch.tensor()),
               "5 against 4");
}

}  // namespace
}  // namespace boreal::kernels
