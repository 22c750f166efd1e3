// The twins themselves: each backward equation against finite differences of its forward one.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/reference/attention.h"
#include "tests/reference/operations.h"
#include "tests/reference/values.h"

namespace boreal::reference {
namespace {

constexpr double kTwin = 1e-7;  // what central differences of step 1e-5 can tell in double

TEST(Twin, NormGradientsAreTheirFiniteDifferences) {
  const Matrix x = random_matrix("x", 3, 6);
  const Matrix w = random_matrix("w", 1, 6);
  const Matrix b = random_matrix("b", 1, 6);
  const Matrix dy = random_matrix("dy", 3, 6);
  const auto rms = rms_norm_backward(dy, x, w, 1e-5);
  const auto layer = layer_norm_backward(dy, x, w, 1e-5);
  const auto by = [&](const auto& f, const Matrix& at) {
    return numeric_gradient([&](const Matrix& value) { return dot(dy, f(value)); }, at);
  };
  EXPECT_LE(relative_error(rms.dx, by([&](const Matrix& v) { return rms_norm(v, w, 1e-5); }, x)),
            kTwin);
  EXPECT_LE(relative_error(rms.dw, by([&](const Matrix& v) { return rms_norm(x, v, 1e-5); }, w)),
            kTwin);
  EXPECT_LE(
      relative_error(layer.dx, by([&](const Matrix& v) { return layer_norm(v, w, b, 1e-5); }, x)),
      kTwin);
  EXPECT_LE(
      relative_error(layer.dw, by([&](const Matrix& v) { return layer_norm(x, v, b, 1e-5); }, w)),
      kTwin);
  EXPECT_LE(
      relative_error(layer.db, by([&](const Matrix& v) { return layer_norm(x, w, v, 1e-5); }, b)),
      kTwin);
}

TEST(Twin, ActivationGradientsAreTheirFiniteDifferences) {
  const Matrix x = random_matrix("x", 3, 8, 2);
  const Matrix dy = random_matrix("dy", 3, 4);
  const Matrix dz = random_matrix("dz", 3, 8);
  EXPECT_LE(
      relative_error(swiglu_backward(dy, x),
                     numeric_gradient([&](const Matrix& v) { return dot(dy, swiglu(v)); }, x)),
      kTwin);
  EXPECT_LE(relative_error(gelu_backward(dz, x),
                           numeric_gradient([&](const Matrix& v) { return dot(dz, gelu(v)); }, x)),
            kTwin);
  EXPECT_LE(
      relative_error(gelu_erf_backward(dz, x),
                     numeric_gradient([&](const Matrix& v) { return dot(dz, gelu_erf(v)); }, x)),
      kTwin);
  EXPECT_LE(relative_error(geglu_backward(dy, x),
                           numeric_gradient([&](const Matrix& v) { return dot(dy, geglu(v)); }, x)),
            kTwin);
  const std::vector<std::int64_t> position = {2, 9, 4};
  EXPECT_LE(relative_error(
                rotary(dz, position, 2, 100, -1),
                numeric_gradient(
                    [&](const Matrix& v) { return dot(dz, rotary(v, position, 2, 100, 1)); }, x)),
            kTwin);
}

TEST(Twin, AttentionGradientsAreTheirFiniteDifferences) {
  const std::vector<std::int64_t> document = {0, 0, 0, 1, 1, 1, 1};
  const Matrix q = random_matrix("q", 7, 12);
  const Matrix k = random_matrix("k", 7, 6);
  const Matrix v = random_matrix("v", 7, 6);
  const Matrix d_o = random_matrix("d_o", 7, 12);
  for (const AttentionHeads& heads :
       {AttentionHeads{4, 2}, AttentionHeads{.heads = 4, .kv_heads = 2, .scale = 0.2, .window = 2},
        AttentionHeads{.heads = 4, .kv_heads = 2, .soft_cap = 0.7},
        AttentionHeads{.heads = 4, .kv_heads = 2, .alibi_slopes = {0.5, 0.1, 2, 0}}}) {
    const auto d = attention_backward(heads, document, q, k, v, d_o);
    const auto loss = [&](const Matrix& q_at, const Matrix& k_at, const Matrix& v_at) {
      return dot(d_o, attention(heads, document, q_at, k_at, v_at).o);
    };
    EXPECT_LE(
        relative_error(d.dq, numeric_gradient([&](const Matrix& at) { return loss(at, k, v); }, q)),
        kTwin);
    EXPECT_LE(
        relative_error(d.dk, numeric_gradient([&](const Matrix& at) { return loss(q, at, v); }, k)),
        kTwin);
    EXPECT_LE(
        relative_error(d.dv, numeric_gradient([&](const Matrix& at) { return loss(q, k, at); }, v)),
        kTwin);
  }
}

TEST(Twin, AWindowOfOneKeyGivesItsValueAndOneAsLongAsTheDocumentChangesNothing) {
  const std::vector<std::int64_t> document = {0, 0, 0, 1, 1};
  const Matrix q = random_matrix("q", 5, 4);
  const Matrix k = random_matrix("k", 5, 4);
  const Matrix v = random_matrix("v", 5, 4);
  EXPECT_LE(
      relative_error(attention({.heads = 2, .kv_heads = 2, .window = 1}, document, q, k, v).o, v),
      1e-15);
  EXPECT_EQ(attention({.heads = 2, .kv_heads = 2, .window = 3}, document, q, k, v).o.values,
            attention({2, 2}, document, q, k, v).o.values);
}

TEST(Twin, LossGradientIsItsFiniteDifferenceAndSumsToZero) {
  const Matrix logits = random_matrix("logits", 4, 9, 3);
  const std::vector<std::int64_t> target = {0, 8, 3, 3};
  const std::vector<double> seed = {1, 0.5, 0, 2};
  const CrossEntropy out = cross_entropy(logits, target, seed);
  const Matrix numeric = numeric_gradient(
      [&](const Matrix& at) {
        double sum = 0;
        for (std::size_t r = 0; r < seed.size(); ++r)
          sum += seed[r] * cross_entropy(at, target, seed).loss(0, static_cast<std::int64_t>(r));
        return sum;
      },
      logits);
  EXPECT_LE(relative_error(out.dlogits, numeric), kTwin);
  for (std::int64_t r = 0; r < 4; ++r) {
    double sum = 0;
    for (std::int64_t c = 0; c < 9; ++c) sum += out.dlogits(r, c);
    EXPECT_NEAR(sum, 0, 1e-12);
  }
}

TEST(Twin, LossGradientWithEveryTermIsItsFiniteDifference) {
  const Matrix logits = random_matrix("logits", 4, 9, 3);
  const std::vector<std::int64_t> target = {0, 8, 3, 3};
  const std::vector<double> seed = {1, 0.5, 0, 2};
  const LossTerms terms{.soft_cap = 4, .z_loss = 0.1};
  const Matrix numeric = numeric_gradient(
      [&](const Matrix& at) {
        const CrossEntropy out = cross_entropy(at, target, seed, terms);
        double sum = 0;
        for (std::int64_t r = 0; r < 4; ++r)
          sum += seed[static_cast<std::size_t>(r)] *
                 (out.loss(0, r) + 0.1 * out.lse(0, r) * out.lse(0, r));
        return sum;
      },
      logits);
  EXPECT_LE(relative_error(cross_entropy(logits, target, seed, terms).dlogits, numeric), kTwin);
  // Of equal logits the entropy is the logarithm of their number.
  EXPECT_NEAR(cross_entropy(Matrix(1, 9, 2), {0}, {1}).entropy(0, 0), std::log(9), 1e-12);
}

TEST(Twin, AdamWTakesTheStepsOfItsDefinition) {
  // One parameter, by hand: g = 2, b1 = 0.5, b2 = 0.75, so m = 1, v = 1, both corrected to 2 and 4.
  Matrix w(1, 1, 10);
  Matrix m(1, 1);
  Matrix v(1, 1);
  adamw(w, Matrix(1, 1, 2), m, v,
        {.lr = 0.5, .beta1 = 0.5, .beta2 = 0.75, .eps = 0, .weight_decay = 0.1});
  EXPECT_DOUBLE_EQ(m(0, 0), 1);
  EXPECT_DOUBLE_EQ(v(0, 0), 1);
  EXPECT_DOUBLE_EQ(w(0, 0), 10 - 0.5 * 0.1 * 10 - 0.5 * 2 / 2);
}

}  // namespace
}  // namespace boreal::reference
