// The AMX product where there is no AMX: shapes, edges and the order of sums. Where there is, the
// tests of gemm_test.cc run on the real tiles.
#include "tests/kernels/emulated_tiles.h"

#include <gtest/gtest.h>

#include "kernels/gemm.h"
#include "tests/reference/values.h"

namespace boreal::kernels {
namespace {

using reference::Matrix;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

class EmulatedTiles : public testing::Test {
 protected:
  Values draw(const std::string& name, Shape shape) {
    return reference::random_values(name, DType::bf16, shape);
  }

  // The panels of B [k, n].
  Values panels(Values& b) {
    const Tensor t = b.tensor();
    Values storage(DType::u8, Shape{packed_bytes(DType::bf16, t.rows(), t.columns())});
    Packed packed = packed_view(storage.tensor(), DType::bf16, t.rows(), t.columns());
    device::Context ctx = device::cpu_context(pool_);
    ctx.isa = device::Isa::v2;  // the layout is that of every set
    pack(ctx, t, false, packed);
    return storage;
  }

  static cpu::GemmArgs arguments(const Tensor& a, Values& b, Tensor c) {
    return {.a = a.data,
            .lda = a.row_stride,
            .b = b.tensor().data,
            .m = a.rows(),
            .n = c.columns(),
            .k = a.columns(),
            .c = c.data,
            .ldc = c.row_stride,
            .c_is_f32 = c.dtype == DType::f32};
  }

 private:
  device::Pool pool_{1};
};

TEST_F(EmulatedTiles, EqualTheTwinAtOddSizes) {
  for (const std::int64_t m : {1, 15, 16, 17, 33, 50})
    for (const std::int64_t n : {1, 24, 65, 130})
      for (const std::int64_t k : {2, 30, 32, 64, 102}) {
        Values a = draw("a", Shape{m, k});
        Values b = draw("b", Shape{k, n});
        Values packed = panels(b);
        const Matrix expected = reference::matmul(a.matrix(), b.matrix());
        for (const DType out : {DType::bf16, DType::f32}) {
          Values c(out, Shape{m, n});
          emulated_tiles_gemm(arguments(a.tensor(), packed, c.tensor()));
          EXPECT_LE(reference::relative_error(c.matrix(), expected), reference::tolerance(out))
              << m << " x " << k << " x " << n;
        }
      }
}

TEST_F(EmulatedTiles, AddBiasResidualAndWhatIsThere) {
  Values a = draw("a", Shape{21, 70});
  Values b = draw("b", Shape{70, 75});
  Values packed = panels(b);
  const Matrix product = reference::matmul(a.matrix(), b.matrix());
  Values bias = reference::random_values("bias", DType::f32, Shape{1, 75});
  Values residual = reference::random_values("residual", DType::f32, Shape{21, 75});
  Values c(DType::f32, Shape{21, 75});
  cpu::GemmArgs args = arguments(a.tensor(), packed, c.tensor());
  args.bias = static_cast<const float*>(bias.tensor().data);
  args.residual = residual.tensor().data;
  args.ldr = 75;
  emulated_tiles_gemm(args);
  const Matrix expected = reference::add_to_rows(product, bias.matrix()) + residual.matrix();
  EXPECT_LE(reference::relative_error(c.matrix(), expected), 1e-5);

  Values sum = reference::random_values("sum", DType::f32, Shape{21, 75});
  const Matrix before = sum.matrix();
  args = arguments(a.tensor(), packed, sum.tensor());
  args.accumulate = true;
  emulated_tiles_gemm(args);
  EXPECT_LE(reference::relative_error(sum.matrix(), before + product), 1e-5);
}

TEST_F(EmulatedTiles, GiveARowTheSameBitsAloneAndAmongMany) {
  Values a = draw("a", Shape{75, 78});
  Values b = draw("b", Shape{78, 70});
  Values packed = panels(b);
  Values all(DType::f32, Shape{75, 70});
  emulated_tiles_gemm(arguments(a.tensor(), packed, all.tensor()));
  for (const std::int64_t row : {0, 15, 16, 31, 32, 63, 64, 74}) {
    Values one(DType::f32, Shape{1, 70});
    emulated_tiles_gemm(arguments(a.tensor().row_slice(row, row + 1), packed, one.tensor()));
    EXPECT_EQ(one.bytes(), reference::bytes_of_tensor(all.tensor().row_slice(row, row + 1)));
  }
}

TEST_F(EmulatedTiles, ASumCutAfterABlockGoesOnWithTheSameBits) {
  Values a = draw("a", Shape{11, 100});
  Values b = draw("b", Shape{100, 70});
  Values packed = panels(b);
  Values whole(DType::f32, Shape{11, 70});
  emulated_tiles_gemm(arguments(a.tensor(), packed, whole.tensor()));
  Values parts(DType::f32, Shape{11, 70});
  for (const auto& [begin, end] : {std::pair{0, 64}, std::pair{64, 100}}) {
    Values piece(DType::bf16, reference::matrix_of(b.tensor().row_slice(begin, end)));
    Values part = panels(piece);
    cpu::GemmArgs args = arguments(a.tensor().column_slice(begin, end), part, parts.tensor());
    args.accumulate = true;
    emulated_tiles_gemm(args);
  }
  EXPECT_EQ(whole.bytes(), parts.bytes());
}

}  // namespace
}  // namespace boreal::kernels
