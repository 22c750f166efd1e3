#include <gtest/gtest.h>

#include "kernels/ops.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/head.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/rotary.h"
#include "tests/kernels/fixture.h"
#include "tests/nn/layer_rig.h"
#include "tests/reference/attention.h"
#include "tests/reference/operations.h"

namespace boreal::nn {
namespace {

using reference::Matrix;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

// Layers on every instruction set and dtype, against the twins with the same (rounded) weights.
class LayerTest : public kernels::KernelTest {
 protected:
  // A chain of products and activations rounds each intermediate to bf16: the design's bound.
  double chain() const { return dtype() == DType::f32 ? 1e-5 : 2e-2; }

  dist::Group group_;
  LayerIds ids_;
};

TEST_P(LayerTest, LinearEqualsTheTwin) {
  for (const auto& [bias, cut] : {std::pair{false, Cut::outputs}, std::pair{true, Cut::outputs},
                                  std::pair{false, Cut::inputs}, std::pair{true, Cut::inputs}})
    for (const std::int64_t rows : {1, 7, 13}) {
      LayerIds ids;
      Linear layer({.name = "l", .in_features = 34, .out_features = 70, .bias = bias, .cut = cut},
                   group_, ids);
      LayerRig rig(parameters_of(layer), dtype(), ctx(), ids);
      rig.rows.count = rows;
      Values x = draw("x", Shape{rows, 34});
      Values residual = draw("residual", Shape{rows, 70});
      Values dy = draw("dy", Shape{rows, 70});
      Values y(dtype(), Shape{rows, 70});
      Values dx(dtype(), Shape{rows, 34});
      const Tensor residual_view = residual.tensor();
      const Pass pass = rig.pass();
      const bool closes = cut == Cut::inputs;
      layer.forward(pass, x.tensor(), y.tensor(), closes ? &residual_view : nullptr);
      layer.backward_input(pass, dy.tensor(), dx.tensor());
      layer.backward_weight(pass);
      const Matrix& w = rig.weight("l.weight");
      Matrix expected = matmul(x.matrix(), transpose(w));
      if (closes) expected = expected + residual.matrix();
      if (bias) expected = add_to_rows(expected, rig.weight("l.bias"));
      EXPECT_LE(relative_error(y.matrix(), expected), tolerance());
      EXPECT_LE(relative_error(dx.matrix(), matmul(dy.matrix(), w)), tolerance());
      const Matrix dw = matmul(transpose(dy.matrix()), x.matrix());
      EXPECT_LE(relative_error(rig.gradient("l.weight"), dw), 1e-5);
      if (bias) {
        EXPECT_LE(relative_error(rig.gradient("l.bias"), column_sums(dy.matrix())), 1e-5);
      }
      // Once more: gradients add up.
      layer.backward_weight(pass);
      EXPECT_LE(relative_error(rig.gradient("l.weight"), dw + dw), 1e-5);
      EXPECT_EQ(rig.arena().scratch_mark(), 0);
    }
}

TEST_P(LayerTest, AFrozenLinearPassesTheSameInputGradientAndTouchesNoOther) {
  Linear layer({.name = "l", .in_features = 34, .out_features = 70, .bias = true}, group_, ids_);
  LayerRig rig(parameters_of(layer), dtype(), ctx(), ids_);
  rig.rows.count = 5;
  Values x = draw("x", Shape{5, 34});
  Values dy = draw("dy", Shape{5, 70});
  Values y(dtype(), Shape{5, 70});
  Values dx(dtype(), Shape{5, 34});
  Values dx_frozen(dtype(), Shape{5, 34});
  const Pass frozen = rig.pass(true);
  layer.forward(frozen, x.tensor(), y.tensor());
  layer.backward_input(frozen, dy.tensor(), dx_frozen.tensor());
  layer.backward_weight(frozen);
  EXPECT_EQ(largest(rig.all_gradients()), 0);
  layer.backward_input(rig.pass(), dy.tensor(), dx.tensor());
  EXPECT_EQ(dx.bytes(), dx_frozen.bytes());
}

TEST_P(LayerTest, NormsEqualTheTwin) {
  for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
    LayerIds ids;
    Norm layer("n", kind, 50, 1e-5, dist::Group(), false, ids);
    LayerRig rig(parameters_of(layer), dtype(), ctx(), ids);
    Values x = draw("x", Shape{7, 50});
    Values dy = draw("dy", Shape{7, 50});
    Values dres = draw("dres", Shape{7, 50});
    Values y(dtype(), Shape{7, 50});
    Values dx(dtype(), Shape{7, 50});
    const Tensor residual = dres.tensor();
    const Pass pass = rig.pass();
    layer.forward(pass, x.tensor(), y.tensor());
    layer.backward(pass, dy.tensor(), &residual, dx.tensor());
    const Matrix& w = rig.weight("n.weight");
    const bool rms = kind == NormKind::rms;
    const Matrix expected = rms ? reference::rms_norm(x.matrix(), w, 1e-5)
                                : reference::layer_norm(x.matrix(), w, rig.weight("n.bias"), 1e-5);
    const auto d = rms ? reference::rms_norm_backward(dy.matrix(), x.matrix(), w, 1e-5)
                       : reference::layer_norm_backward(dy.matrix(), x.matrix(), w, 1e-5);
    EXPECT_LE(relative_error(y.matrix(), expected), tolerance());
    EXPECT_LE(relative_error(dx.matrix(), d.dx + dres.matrix()), tolerance());
    EXPECT_LE(relative_error(rig.gradient("n.weight"), d.dw), 1e-5);
    if (!rms) {
      EXPECT_LE(relative_error(rig.gradient("n.bias"), d.db), 1e-5);
    }
  }
}

TEST_P(LayerTest, EmbeddingEqualsTheTwinWithAndWithoutPositions) {
  for (const std::int64_t positions : {0, 9}) {
    Embedding layer({.name = "e", .vocab = 11, .hidden = 30, .positions = positions}, group_);
    LayerRig rig(parameters_of(layer), dtype(), ctx(), ids_);
    const std::vector<std::int64_t> id = {3, 3, 0, 10, 3, 7, 1};
    const std::vector<std::int64_t> position = {0, 1, 2, 8, 0, 1, 2};
    Values ids(id);
    Values places(position);
    rig.rows.count = 7;
    rig.rows.id = ids.tensor();
    rig.rows.position = places.tensor();
    Values x(dtype(), Shape{7, 30});
    Values dx = draw("dx", Shape{7, 30});
    layer.forward(rig.pass(), x.tensor());
    layer.backward_weight(rig.pass(), dx.tensor());
    Matrix expected = reference::gather(rig.weight("e.weight"), id);
    if (positions > 0) expected = expected + reference::gather(rig.weight("e.positions"), position);
    EXPECT_LE(relative_error(x.matrix(), expected), tolerance());
    EXPECT_LE(relative_error(rig.gradient("e.weight"), reference::scatter(dx.matrix(), id, 11)),
              1e-5);
    if (positions > 0) {
      EXPECT_LE(
          relative_error(rig.gradient("e.positions"), reference::scatter(dx.matrix(), position, 9)),
          1e-5);
    }
  }
}

TEST_P(LayerTest, MlpsEqualTheTwin) {
  struct Twin {
    MlpKind kind;
    Matrix (*forward)(const Matrix&);
    Matrix (*backward)(const Matrix&, const Matrix&);
  };
  for (const auto& [kind, forward, backward] :
       {Twin{MlpKind::swiglu, reference::swiglu, reference::swiglu_backward},
        {MlpKind::geglu, reference::geglu, reference::geglu_backward},
        {MlpKind::gelu, reference::gelu, reference::gelu_backward},
        {MlpKind::gelu_erf, reference::gelu_erf, reference::gelu_erf_backward}}) {
    LayerIds ids;
    const bool gated = kernels::gated(kind);
    Mlp layer({.name = "m", .kind = kind, .hidden = 24, .ffn = 70, .bias = !gated}, group_, ids);
    LayerRig rig(parameters_of(layer), dtype(), ctx(), ids);
    rig.rows.count = 7;
    Values x = draw("x", Shape{7, 24});
    Values residual = draw("residual", Shape{7, 24});
    Values dy = draw("dy", Shape{7, 24});
    Values y(dtype(), Shape{7, 24});
    Values dx(dtype(), Shape{7, 24});
    const Pass pass = rig.pass();
    const Tensor residual_view = residual.tensor();
    layer.forward(pass, x.tensor(), &residual_view, y.tensor());
    layer.backward_input(pass, dy.tensor(), dx.tensor());
    layer.backward_weight(pass);

    const std::string up_name = gated ? "m.gate_up" : "m.up";
    Matrix up = matmul(x.matrix(), transpose(rig.weight(up_name + ".weight")));
    if (!gated) up = add_to_rows(up, rig.weight("m.up.bias"));
    const Matrix activated = forward(up);
    Matrix expected = matmul(activated, transpose(rig.weight("m.down.weight"))) + residual.matrix();
    if (!gated) expected = add_to_rows(expected, rig.weight("m.down.bias"));
    const Matrix d_activated = matmul(dy.matrix(), rig.weight("m.down.weight"));
    const Matrix d_up = backward(d_activated, up);
    EXPECT_LE(relative_error(y.matrix(), expected), chain());
    EXPECT_LE(relative_error(dx.matrix(), matmul(d_up, rig.weight(up_name + ".weight"))), chain());
    EXPECT_LE(
        relative_error(rig.gradient("m.down.weight"), matmul(transpose(dy.matrix()), activated)),
        chain());
    EXPECT_LE(
        relative_error(rig.gradient(up_name + ".weight"), matmul(transpose(d_up), x.matrix())),
        chain());
    if (!gated) {
      EXPECT_LE(relative_error(rig.gradient("m.up.bias"), column_sums(d_up)), chain());
    }
  }
}

TEST_P(LayerTest, AttentionEqualsTheTwinWithAndWithoutRotation) {
  const reference::AttentionHeads heads{4, 2};
  const std::vector<std::int64_t> document = {0, 0, 0, 1, 1, 1, 1, 1, 1, 2};
  const std::vector<std::int64_t> position = {0, 1, 2, 0, 1, 2, 3, 4, 5, 0};
  for (const bool turned : {true, false}) {
    LayerIds ids;
    nn::Attention layer({.name = "a",
                         .hidden = 40,
                         .heads = 4,
                         .kv_heads = 2,
                         .head_dim = 10,
                         .bias = !turned,
                         .out_bias = !turned},
                        group_, ids);
    LayerRig rig(parameters_of(layer), dtype(), ctx(), ids);
    Values places(position);
    rig.rows = {.count = 10,
                .id = {},
                .position = places.tensor(),
                .spans = {{0, 3, 0, 0, 3}, {3, 6, 0, 3, 6}, {9, 1, 0, 9, 1}},
                .keys_max = 6,
                .cache_row = {}};
    Values cos_sin(DType::f32, Shape{8, 10});
    kernels::rope_table(ctx(), rotary_frequencies({.dim = 10, .theta = 10000}), cos_sin.tensor());
    const Tensor table = cos_sin.tensor();
    const Tensor* rotation = turned ? &table : nullptr;
    Values x = draw("x", Shape{10, 40});
    Values residual = draw("residual", Shape{10, 40});
    Values dy = draw("dy", Shape{10, 40});
    Values y(dtype(), Shape{10, 40});
    Values dx(dtype(), Shape{10, 40});
    const Pass pass = rig.pass();
    const Tensor residual_view = residual.tensor();
    layer.forward(pass, 0, rotation, x.tensor(), &residual_view, y.tensor());
    layer.backward_input(pass, rotation, dy.tensor(), dx.tensor());
    layer.backward_weight(pass);

    const auto turn = [&](const Matrix& m, std::int64_t n, double direction) {
      return turned ? reference::rotary(m, position, n, 10000, direction) : m;
    };
    Matrix qkv = matmul(x.matrix(), transpose(rig.weight("a.qkv.weight")));
    if (!turned) qkv = add_to_rows(qkv, rig.weight("a.qkv.bias"));
    const Matrix q = turn(columns_of(qkv, 0, 40), 4, 1);
    const Matrix k = turn(columns_of(qkv, 40, 60), 2, 1);
    const Matrix v = columns_of(qkv, 60, 80);
    const Matrix o = reference::attention(heads, document, q, k, v).o;
    Matrix expected = matmul(o, transpose(rig.weight("a.out.weight"))) + residual.matrix();
    if (!turned) expected = add_to_rows(expected, rig.weight("a.out.bias"));
    EXPECT_LE(relative_error(y.matrix(), expected), chain());
    const auto d = reference::attention_backward(heads, document, q, k, v,
                                                 matmul(dy.matrix(), rig.weight("a.out.weight")));
    const Matrix d_qkv = beside(beside(turn(d.dq, 4, -1), turn(d.dk, 2, -1)), d.dv);
    EXPECT_LE(relative_error(dx.matrix(), matmul(d_qkv, rig.weight("a.qkv.weight"))), chain());
    EXPECT_LE(relative_error(rig.gradient("a.qkv.weight"), matmul(transpose(d_qkv), x.matrix())),
              chain());
    EXPECT_LE(relative_error(rig.gradient("a.out.weight"), matmul(transpose(dy.matrix()), o)),
              chain());
  }
}

// A head over more rows than one chunk holds, every third of which does not count.
class HeadTest : public LayerTest {
 protected:
  static constexpr std::int64_t kRows = 2 * 512 - 50;

  struct Out {
    Values loss, dx;
    Matrix d_matrix, d_norm;
  };

  // vocab odd on purpose: GPT-2's is.
  Out run(std::int64_t vocab, bool tied, double scale, double z_loss) {
    LayerIds ids;
    Embedding table({.name = "e", .vocab = vocab, .hidden = 24, .tied = true}, group_);
    const HeadOptions options{.name = "h", .hidden = 24, .vocab = vocab};
    Head head(options, tied ? &table.table() : nullptr, group_, ids);
    std::vector<Parameter*> parameters = parameters_of(head);
    if (tied) table.visit(parameters);
    LayerRig rig(parameters, dtype(), ctx(), ids);
    rig.rows.count = kRows;
    matrix_ = rig.weight(tied ? "e.weight" : "h.weight");
    norm_ = rig.weight("h.norm.weight");
    x_ = draw("x", Shape{kRows, 24});
    EXPECT_GT(kRows * 2 / 3, Head::chunk_rows(dtype(), vocab));
    row_.clear();
    for (std::int64_t r = 0; r < kRows; ++r)
      if (r % 3 != 0) row_.push_back(r);
    const auto count = static_cast<std::int64_t>(row_.size());
    target_ = reference::random_ids("target", count, vocab);
    Values row(row_);
    Values target(target_);
    Values seed(DType::f32, Matrix(1, count, scale));
    Out out{Values(DType::f32, Shape{count}), draw("dirty", Shape{kRows, 24}), {}, {}};
    Tensor dx = out.dx.tensor();
    const Targets targets{.row = row.tensor(),
                          .id = target.tensor(),
                          .seed = seed.tensor().reshaped(Shape{count}),
                          .loss = out.loss.tensor(),
                          .count = count,
                          .z_loss = z_loss};
    head.loss(rig.pass(), x_.tensor(), targets, &dx);
    out.d_matrix = rig.gradient(tied ? "e.weight" : "h.weight");
    out.d_norm = rig.gradient("h.norm.weight");
    return out;
  }

  void expect_twin(std::int64_t vocab, bool tied, double z_loss = 0) {
    const double scale = 1.0 / 256;
    const Out got = run(vocab, tied, scale, z_loss);
    const Matrix x = x_.matrix();
    const Matrix picked = reference::gather(x, row_);
    const Matrix normed = reference::rms_norm(picked, norm_, 1e-5);
    const auto loss =
        reference::cross_entropy(matmul(normed, transpose(matrix_)), target_,
                                 std::vector<double>(row_.size(), scale), {.z_loss = z_loss});
    EXPECT_LE(relative_error(got.loss.matrix(), loss.loss), chain());
    EXPECT_LE(relative_error(got.d_matrix, matmul(transpose(loss.dlogits), normed)), chain());
    const auto d = reference::rms_norm_backward(matmul(loss.dlogits, matrix_), picked, norm_, 1e-5);
    EXPECT_LE(relative_error(got.d_norm, d.dw), chain());
    Matrix dx(kRows, 24);
    for (std::size_t i = 0; i < row_.size(); ++i)
      for (std::int64_t c = 0; c < 24; ++c) dx(row_[i], c) = d.dx(static_cast<std::int64_t>(i), c);
    EXPECT_LE(relative_error(got.dx.matrix(), dx), chain());
    for (std::int64_t r = 0; r < kRows; r += 3)
      for (std::int64_t c = 0; c < 24; ++c) EXPECT_EQ(got.dx.matrix()(r, c), 0) << "row " << r;
  }

  Values x_;
  Matrix matrix_, norm_;
  std::vector<std::int64_t> row_, target_;
};

TEST_P(HeadTest, EqualsTheTwinWithItsOwnMatrix) {
  expect_twin(70, false);
}
TEST_P(HeadTest, EqualsTheTwinWithTheEmbeddingsMatrix) {
  expect_twin(70, true);
}
TEST_P(HeadTest, AddsTheSquareOfTheNormaliserToWhatIsDifferentiated) {
  expect_twin(70, true, 0.03);
}
TEST_P(HeadTest, TakesAnOddVocabulary) {
  expect_twin(67, true);
}

BOREAL_EVERYWHERE(LayerTest);
BOREAL_EVERYWHERE(HeadTest);

}  // namespace
}  // namespace boreal::nn
