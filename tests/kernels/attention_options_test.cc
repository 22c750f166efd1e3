#include <cmath>
#include <vector>

#include "kernels/ops.h"
#include "tests/kernels/attention_rig.h"

namespace boreal::kernels {
namespace {

using reference::bytes_of_tensor;
using reference::Matrix;
using reference::matrix_of;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

class AttentionOptions : public AttentionRig {
 protected:
  // 6 heads on 2 key heads of an odd size, tiles that begin, end and straddle.
  static Case base() { return make(6, 2, 22, {70, 1, 130}); }
  static constexpr float kSlopes[6] = {0.5F, 0.25F, 0.125F, 0.0625F, 0.03F, 0.015F};

  static std::vector<std::pair<const char*, Case>> all() {
    std::vector<std::pair<const char*, Case>> cases(7, {"", base()});
    cases[0].first = "scale";
    cases[0].second.shape.scale = 0.3;
    cases[1].first = "window 1";
    cases[1].second.shape.window = 1;
    cases[2].first = "window 5";
    cases[2].second.shape.window = 5;
    cases[3].first = "window 64";
    cases[3].second.shape.window = 64;
    cases[4].first = "cap";
    cases[4].second.shape.soft_cap = 0.7;
    cases[5].first = "slopes";
    cases[5].second.shape.alibi_slopes = kSlopes;
    cases[6].first = "all";
    cases[6].second.shape.scale = 0.4;
    cases[6].second.shape.window = 33;
    cases[6].second.shape.soft_cap = 1.5;
    cases[6].second.shape.alibi_slopes = kSlopes;
    return cases;
  }

  // One document's queries in pieces over keys that lie in pages, as a cache has them.
  void expect_pieces(const Case& whole, const std::vector<std::int64_t>& pieces) {
    Values qkv = draw("qkv", Shape{whole.rows(), whole.width()});
    Outputs expected = run(ctx(), whole, qkv, nullptr);
    const std::int64_t pages = (whole.rows() + kKeyTile - 1) / kKeyTile;
    std::vector<std::int32_t> page(static_cast<std::size_t>(pages));
    for (std::int64_t i = 0; i < pages; ++i)
      page[static_cast<std::size_t>(i)] =
          static_cast<std::int32_t>((pages - i) * 2 * kKeyTile);  // backwards, with gaps
    Values cache(dtype(), Matrix((2 * pages + 1) * kKeyTile, whole.width(), std::nan("")));
    const Matrix numbers = qkv.matrix();
    Values scratch(DType::f32, Shape{attention_forward_scratch(ctx(), whole.shape, dtype())});
    std::int64_t done = 0;
    for (const std::int64_t n : pieces) {
      for (std::int64_t r = done; r < done + n; ++r)
        for (std::int64_t c = 0; c < whole.width(); ++c)
          cache.set(page[static_cast<std::size_t>(r / kKeyTile)] + r % kKeyTile, c, numbers(r, c));
      Values o(dtype(), Shape{n, whole.q_width()});
      const Tensor all = qkv.tensor();
      const std::vector<AttentionSpan> span = {{.query_row = 0,
                                                .queries = n,
                                                .query_begin = done,
                                                .keys = done + n,
                                                .pages = page.data()}};
      attention_forward(ctx(), whole.shape, span, q_of(whole, all.row_slice(done, done + n)),
                        k_of(whole, cache.tensor()), v_of(whole, cache.tensor()), o.tensor(),
                        nullptr, scratch.tensor());
      ASSERT_EQ(o.bytes(), bytes_of_tensor(expected.o.tensor().row_slice(done, done + n)))
          << "queries " << done << " to " << done + n;
      done += n;
    }
  }
};

TEST_P(AttentionOptions, EqualTheTwin) {
  for (const auto& [name, c] : all()) {
    SCOPED_TRACE(name);
    expect_twin(c);
  }
}

TEST_P(AttentionOptions, GiveTheSameBitsInPiecesAndInPages) {
  for (auto [name, c] : all()) {
    SCOPED_TRACE(name);
    c.lengths = {150};
    c.shape.keys_max = 150;
    expect_pieces(c, {64, 64, 22});
    expect_pieces(c, {1, 62, 2, 85});
    expect_pieces(c, std::vector<std::int64_t>(150, 1));
  }
}

TEST_P(AttentionOptions, GiveTheSameBitsOnOneAndThreeThreads) {
  for (const auto& [name, c] : all()) {
    SCOPED_TRACE(name);
    Values qkv = draw("qkv", Shape{c.rows(), c.width()});
    Values d_o = draw("d_o", Shape{c.rows(), c.q_width()});
    const Outputs expected = run(ctx(), c, qkv, &d_o);
    device::Pool pool(3);
    const Outputs got = run(on(pool), c, qkv, &d_o);
    EXPECT_EQ(got.o.bytes(), expected.o.bytes());
    EXPECT_EQ(got.d_qkv.bytes(), expected.d_qkv.bytes());
  }
}

// The gradients of q and k against those of a run on turned ones, turned back.
TEST_P(AttentionOptions, RotateOnLoadAsRopeDoes) {
  for (const std::int64_t rotary : {22, 10}) {
    Case c = base();
    const Values turned_table = [&] {
      Values table(DType::f32, Shape{140, rotary});
      std::vector<float> frequency;
      for (std::int64_t i = 0; i < rotary / 2; ++i)
        frequency.push_back(std::pow(10000.0F, -2.0F * static_cast<float>(i) / 22.0F));
      rope_table(ctx(), frequency, table.tensor());
      return table;
    }();
    Values table = turned_table;
    const Tensor cos_sin = table.tensor();
    Values qkv = draw("qkv", Shape{c.rows(), c.width()});
    Values d_o = draw("d_o", Shape{c.rows(), c.q_width()});
    Values position(DType::i32, Shape{c.rows()});
    std::int64_t row = 0;
    for (const std::int64_t length : c.lengths)
      for (std::int64_t i = 0; i < length; ++i)
        static_cast<std::int32_t*>(position.tensor().data)[row++] = static_cast<std::int32_t>(i);
    const auto rotate = [&](Values& x, Rotation way) {
      for (std::int64_t h = 0; h < c.shape.heads + c.shape.kv_heads; ++h) {
        const std::int64_t begin = h * c.shape.head_dim;
        rope(ctx(), x.tensor().column_slice(begin, begin + rotary), position.tensor(), cos_sin, 1,
             way);
      }
    };
    Values turned = qkv;
    rotate(turned, Rotation::forward);
    Outputs expected = run(ctx(), c, turned, &d_o);
    c.shape.cos_sin = &cos_sin;
    Outputs got = run(ctx(), c, qkv, &d_o);
    EXPECT_EQ(got.o.bytes(), expected.o.bytes());
    EXPECT_EQ(got.lse.bytes(), expected.lse.bytes());
    rotate(expected.d_qkv, Rotation::backward);
    EXPECT_LE(relative_error(got.d_qkv.matrix(), expected.d_qkv.matrix()), tolerance());
    // Keys that come turned, as from a cache.
    c.shape.keys_rotated = true;
    Values half = turned;
    const Matrix plain = qkv.matrix();
    for (std::int64_t r = 0; r < c.rows(); ++r)
      for (std::int64_t i = 0; i < c.q_width(); ++i) half.set(r, i, plain(r, i));
    EXPECT_EQ(run(ctx(), c, half, nullptr).o.bytes(), expected.o.bytes());
  }
}

BOREAL_EVERYWHERE(AttentionOptions);

}  // namespace
}  // namespace boreal::kernels
