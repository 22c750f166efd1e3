// AttentionRig: attention of documents on a fused q | k | v tensor, beside its double twin.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/attention.h"
#include "tests/kernels/fixture.h"
#include "tests/reference/attention.h"

namespace boreal::kernels {

// Attention of whole documents that stand one behind the other, on a fused q | k | v tensor.
class AttentionRig : public KernelTest {
 protected:
  struct Case {
    AttentionShape shape;
    std::vector<std::int64_t> lengths;

    std::int64_t rows() const {
      std::int64_t sum = 0;
      for (const std::int64_t length : lengths) sum += length;
      return sum;
    }
    std::int64_t q_width() const { return shape.heads * shape.head_dim; }
    std::int64_t kv_width() const { return shape.kv_heads * shape.head_dim; }
    std::int64_t width() const { return q_width() + 2 * kv_width(); }
    std::vector<std::int64_t> documents() const {
      std::vector<std::int64_t> out;
      for (std::size_t d = 0; d < lengths.size(); ++d)
        out.insert(out.end(), static_cast<std::size_t>(lengths[d]), static_cast<std::int64_t>(d));
      return out;
    }
    std::vector<AttentionSpan> spans() const {
      std::vector<AttentionSpan> out;
      std::int64_t row = 0;
      for (const std::int64_t length : lengths) {
        out.push_back({row, length, 0, row, length});
        row += length;
      }
      return out;
    }
  };

  static Case make(std::int64_t heads, std::int64_t kv_heads, std::int64_t dim,
                   std::vector<std::int64_t> lengths) {
    Case c{{heads, kv_heads, dim, 0}, std::move(lengths)};
    c.shape.keys_max = std::ranges::max(c.lengths);
    return c;
  }

  static tensor::Tensor q_of(const Case& c, const tensor::Tensor& qkv) {
    return qkv.column_slice(0, c.q_width());
  }
  static tensor::Tensor k_of(const Case& c, const tensor::Tensor& qkv) {
    return qkv.column_slice(c.q_width(), c.q_width() + c.kv_width());
  }
  static tensor::Tensor v_of(const Case& c, const tensor::Tensor& qkv) {
    return qkv.column_slice(c.q_width() + c.kv_width(), c.width());
  }

  struct Outputs {
    reference::Values o, lse, d_qkv;
  };

  Outputs run(const device::Context& on_ctx, const Case& c, reference::Values& qkv,
              reference::Values* d_o) {
    Outputs out{reference::Values(dtype(), tensor::Shape{c.rows(), c.q_width()}),
                reference::Values(DType::f32, tensor::Shape{c.shape.heads, c.rows()}),
                reference::Values(dtype(), tensor::Shape{c.rows(), c.width()})};
    const tensor::Tensor t = qkv.tensor();
    tensor::Tensor lse = out.lse.tensor();
    reference::Values forward(DType::f32,
                              tensor::Shape{attention_forward_scratch(on_ctx, c.shape, dtype())});
    attention_forward(on_ctx, c.shape, c.spans(), q_of(c, t), k_of(c, t), v_of(c, t),
                      out.o.tensor(), &lse, forward.tensor());
    if (d_o == nullptr) return out;
    reference::Values backward(DType::f32,
                               tensor::Shape{attention_backward_scratch(on_ctx, c.shape, dtype())});
    const tensor::Tensor d = out.d_qkv.tensor();
    attention_backward(on_ctx, c.shape, c.spans(), q_of(c, t), k_of(c, t), v_of(c, t),
                       out.o.tensor(), lse, d_o->tensor(), q_of(c, d), k_of(c, d), v_of(c, d),
                       backward.tensor());
    return out;
  }

  void expect_twin(const Case& c) {
    reference::Values qkv = draw("qkv", tensor::Shape{c.rows(), c.width()});
    reference::Values d_o = draw("d_o", tensor::Shape{c.rows(), c.q_width()});
    const Outputs got = run(ctx(), c, qkv, &d_o);
    const tensor::Tensor t = qkv.tensor();
    reference::AttentionHeads heads{c.shape.heads,  c.shape.kv_heads, c.shape.scale,
                                    c.shape.window, c.shape.soft_cap, {}};
    if (c.shape.alibi_slopes != nullptr)
      heads.alibi_slopes.assign(c.shape.alibi_slopes, c.shape.alibi_slopes + c.shape.heads);
    const reference::Matrix q = reference::matrix_of(q_of(c, t));
    const reference::Matrix k = reference::matrix_of(k_of(c, t));
    const reference::Matrix v = reference::matrix_of(v_of(c, t));
    const auto expected = reference::attention(heads, c.documents(), q, k, v);
    EXPECT_LE(relative_error(got.o.matrix(), expected.o), tolerance());
    EXPECT_LE(relative_error(got.lse.matrix(), expected.lse), 1e-5);
    const auto d = reference::attention_backward(heads, c.documents(), q, k, v, d_o.matrix());
    Outputs copy = got;
    const tensor::Tensor d_qkv = copy.d_qkv.tensor();
    // Weights and gradients of scores are rounded to bf16 on their way into the products.
    const double bound = dtype() == DType::bf16 ? 2e-2 : tolerance();
    EXPECT_LE(relative_error(reference::matrix_of(q_of(c, d_qkv)), d.dq), bound);
    EXPECT_LE(relative_error(reference::matrix_of(k_of(c, d_qkv)), d.dk), bound);
    EXPECT_LE(relative_error(reference::matrix_of(v_of(c, d_qkv)), d.dv), bound);
  }
};

}  // namespace boreal::kernels
