#include "kernels/gemm.h"

#include <cmath>
#include <utility>
#include <vector>

#include "tests/kernels/fixture.h"

namespace boreal::kernels {
namespace {

using reference::bytes_of_tensor;
using reference::Matrix;
using reference::matrix_of;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

// A packed right-hand side with its memory.
struct Rhs {
  Values storage;
  Packed packed;
};

class Gemm : public KernelTest {
 protected:
  Rhs pack_rhs(const device::Context& ctx, Values& src, bool transposed) {
    const Tensor t = src.tensor();
    const std::int64_t k = transposed ? t.columns() : t.rows();
    const std::int64_t n = transposed ? t.rows() : t.columns();
    Rhs rhs{Values(DType::u8, Shape{packed_bytes(dtype(), k, n)}), {}};
    rhs.packed = packed_view(rhs.storage.tensor(), dtype(), k, n);
    pack(ctx, t, transposed, rhs.packed);
    return rhs;
  }

  // A [m, k], with a zero column behind it where k must be even.
  Values left(std::int64_t m, std::int64_t k) {
    Values a = draw("a", Shape{m, even_k(k)});
    if (even_k(k) != k)
      for (std::int64_t r = 0; r < m; ++r) a.set(r, k, 0);
    return a;
  }

  // B [k, n] for the product with a padded A.
  Matrix right(const Values& b, bool transposed) {
    const Matrix m = transposed ? reference::transpose(b.matrix()) : b.matrix();
    Matrix out(even_k(m.rows), m.columns);
    for (std::int64_t r = 0; r < m.rows; ++r)
      for (std::int64_t c = 0; c < m.columns; ++c) out(r, c) = m(r, c);
    return out;
  }
};

TEST_P(Gemm, EqualsTheTwinAtOddSizes) {
  for (const std::int64_t m : {1, 5, 7, 13})
    for (const std::int64_t n : {1, 24, 65, 130})
      for (const std::int64_t k : {1, 7, 64, 101})
        for (const bool transposed : {true, false}) {
          Values a = left(m, k);
          Values b = draw("b", transposed ? Shape{n, k} : Shape{k, n});
          const Rhs rhs = pack_rhs(ctx(), b, transposed);
          const Matrix expected = matmul(a.matrix(), right(b, transposed));
          for (const DType out : {dtype(), DType::f32}) {
            Values c(out, Shape{m, n});
            gemm(ctx(), a.tensor(), rhs.packed, c.tensor());
            EXPECT_LE(relative_error(c.matrix(), expected), reference::tolerance(out))
                << m << " x " << k << " x " << n << (transposed ? " transposed" : "");
          }
        }
}

TEST_P(Gemm, AddsBiasAndResidualAndAccumulates) {
  for (const std::int64_t m : {5, 40}) {
    Values a = left(m, 66);
    Values b = draw("b", Shape{70, 66});
    const Rhs rhs = pack_rhs(ctx(), b, true);
    const Matrix product = matmul(a.matrix(), right(b, true));
    Values bias = reference::random_values("bias", DType::f32, Shape{1, 70}, 5);
    const Tensor bias_view = bias.tensor();
    Values residual = draw("residual", Shape{m, 70}, 5);
    const Tensor residual_view = residual.tensor();
    Values c(dtype(), Shape{m, 70});
    gemm(ctx(), a.tensor(), rhs.packed, c.tensor(),
         {.bias = &bias_view, .residual = &residual_view});
    EXPECT_LE(relative_error(c.matrix(), add_to_rows(product, bias.matrix()) + residual.matrix()),
              tolerance());
    Values sum = reference::random_values("sum", DType::f32, Shape{m, 70}, 5);
    const Matrix before = sum.matrix();
    gemm(ctx(), a.tensor(), rhs.packed, sum.tensor(), {.accumulate = true});
    EXPECT_LE(relative_error(sum.matrix(), before + product), 1e-5);
  }
}

// Few rows pass over a panel in pieces; from 8,192 on a sum into fp32 goes over k outermost.
TEST_P(Gemm, EqualsTheTwinInPiecesAndInLongSums) {
  for (const std::int64_t k : {97, 250, 8230}) {
    Values b = draw("b", Shape{k, 150});
    const Rhs rhs = pack_rhs(ctx(), b, false);
    for (const std::int64_t m : {3, 8, 20, 33}) {
      Values a = left(m, k);
      const Matrix product = matmul(a.matrix(), right(b, false));
      Values c(dtype(), Shape{m, 150});
      gemm(ctx(), a.tensor(), rhs.packed, c.tensor());
      EXPECT_LE(relative_error(c.matrix(), product), tolerance()) << m << " x " << k;
      Values sum = reference::random_values("sum", DType::f32, Shape{m, 150}, 5);
      const Matrix before = sum.matrix();
      gemm(ctx(), a.tensor(), rhs.packed, sum.tensor(), {.accumulate = true});
      EXPECT_LE(relative_error(sum.matrix(), before + product), 1e-5) << m << " x " << k;
    }
  }
}

TEST_P(Gemm, GivesARowTheSameBitsInPiecesAndInLongSums) {
  constexpr std::int64_t kRows = 70;
  for (const std::int64_t k : {250, 8230}) {
    Values a = left(kRows, k);
    Values b = draw("b", Shape{150, k});
    const Rhs rhs = pack_rhs(ctx(), b, true);
    for (const DType out : {dtype(), DType::f32}) {
      Values all(out, Shape{kRows, 150});
      gemm(ctx(), a.tensor(), rhs.packed, all.tensor());
      for (const std::int64_t count : {1, 2, 6, 7, 8, 13, 32, 33})
        for (const std::int64_t r : {0, 1, 37}) {
          Values some(out, Shape{count, 150});
          gemm(ctx(), a.tensor().row_slice(r, r + count), rhs.packed, some.tensor());
          EXPECT_EQ(some.bytes(), bytes_of_tensor(all.tensor().row_slice(r, r + count)))
              << count << " rows from " << r << ", k " << k;
        }
      for (const std::int64_t threads : {2, 3}) {
        device::Pool pool(threads);
        Values again(out, Shape{kRows, 150});
        gemm(on(pool), a.tensor(), rhs.packed, again.tensor());
        EXPECT_EQ(again.bytes(), all.bytes()) << threads << " threads, k " << k;
      }
    }
  }
}

// In room for one panel, for two and for all.
TEST_P(Gemm, PacksAsItGoesToTheSameBits) {
  for (const auto& [k, n] : {std::pair<std::int64_t, std::int64_t>{66, 70}, {97, 300}, {8230, 150}})
    for (const bool transposed : {true, false}) {
      Values b = draw("b", transposed ? Shape{n, k} : Shape{k, n});
      Values exact(DType::f32, b.matrix());
      const Rhs kept = pack_rhs(ctx(), b, transposed);
      for (const std::int64_t width : {std::int64_t{64}, std::int64_t{128}, n}) {
        Values room(DType::u8, Shape{packed_bytes(dtype(), k, width)});
        const Packed as_used = packed_as_used(exact.tensor(), transposed, dtype(), room.tensor());
        for (const std::int64_t m : {3, 40, 530}) {
          Values a = left(m, k);
          const auto expect_equal = [&](DType type, const Epilogue& epilogue) {
            Values c = reference::random_values("c", type, Shape{m, n}, 5);
            Values got = reference::random_values("c", type, Shape{m, n}, 5);
            gemm(ctx(), a.tensor(), kept.packed, c.tensor(), epilogue);
            gemm(ctx(), a.tensor(), as_used, got.tensor(), epilogue);
            EXPECT_EQ(got.bytes(), c.bytes())
                << m << " x " << k << " x " << n << " in room for " << width;
          };
          Values bias = reference::random_values("bias", DType::f32, Shape{1, n}, 5);
          const Tensor bias_view = bias.tensor();
          Values residual = draw("residual", Shape{m, n}, 5);
          const Tensor residual_view = residual.tensor();
          expect_equal(dtype(), {.bias = &bias_view, .residual = &residual_view});
          expect_equal(DType::f32, {});
          expect_equal(DType::f32, {.accumulate = true});
        }
      }
    }
}

TEST_P(Gemm, ReadsAndWritesSlicesOfColumns) {
  Values wide = draw("wide", Shape{9, 100});
  const Tensor a = wide.tensor().column_slice(10, 76);
  Values b = draw("b", Shape{66, 30});
  const Rhs rhs = pack_rhs(ctx(), b, false);
  Values c(dtype(), Shape{9, 50});
  gemm(ctx(), a, rhs.packed, c.tensor().column_slice(7, 37));
  const Matrix expected = matmul(reference::columns_of(wide.matrix(), 10, 76), b.matrix());
  const Matrix got = c.matrix();
  EXPECT_LE(relative_error(reference::columns_of(got, 7, 37), expected), tolerance());
  EXPECT_EQ(largest(reference::columns_of(got, 0, 7)), 0);
  EXPECT_EQ(largest(reference::columns_of(got, 37, 50)), 0);
}

TEST_P(Gemm, PacksFp32WeightsRoundedToTheirType) {
  Values rounded = draw("b", Shape{33, 40});
  Values exact(DType::f32, rounded.matrix());
  const Rhs from_own = pack_rhs(ctx(), rounded, true);
  const Rhs from_fp32 = pack_rhs(ctx(), exact, true);
  EXPECT_EQ(from_own.storage.bytes(), from_fp32.storage.bytes());
}

TEST_P(Gemm, GivesARowTheSameBitsAloneAndAmongMany) {
  constexpr std::int64_t kRows = 4096;
  Values a = left(kRows, 96);
  Values b = draw("b", Shape{70, 96});
  const Rhs rhs = pack_rhs(ctx(), b, true);
  for (const DType out : {dtype(), DType::f32}) {
    Values all(out, Shape{kRows, 70});
    gemm(ctx(), a.tensor(), rhs.packed, all.tensor());
    Values seven(out, Shape{7, 70});
    gemm(ctx(), a.tensor().row_slice(1000, 1007), rhs.packed, seven.tensor());
    EXPECT_EQ(seven.bytes(), bytes_of_tensor(all.tensor().row_slice(1000, 1007)));
    for (const std::int64_t r : {0, 1, 5, 6, 1003, 2047, 4090, 4095}) {
      Values one(out, Shape{1, 70});
      gemm(ctx(), a.tensor().row_slice(r, r + 1), rhs.packed, one.tensor());
      EXPECT_EQ(one.bytes(), bytes_of_tensor(all.tensor().row_slice(r, r + 1))) << "row " << r;
    }
  }
}

TEST_P(Gemm, GivesAColumnTheSameBitsAloneAndAmongMany) {
  Values a = left(13, 96);
  Values b = draw("b", Shape{200, 96});
  const Rhs rhs = pack_rhs(ctx(), b, true);
  Values all(dtype(), Shape{13, 200});
  gemm(ctx(), a.tensor(), rhs.packed, all.tensor());
  for (const std::int64_t column : {0, 63, 64, 130, 199}) {
    Values row(dtype(), reference::Matrix(1, 96));
    for (std::int64_t i = 0; i < 96; ++i) row.set(0, i, b.matrix()(column, i));
    const Rhs alone = pack_rhs(ctx(), row, true);
    Values one(dtype(), Shape{13, 1});
    gemm(ctx(), a.tensor(), alone.packed, one.tensor());
    EXPECT_EQ(one.bytes(), bytes_of_tensor(all.tensor().column_slice(column, column + 1)))
        << "column " << column;
  }
}

TEST_P(Gemm, GivesTheSameBitsOnOneTwoAndThreeThreads) {
  for (const std::int64_t m : {1, 13, 100}) {
    Values a = left(m, 130);
    Values b = draw("b", Shape{300, 130});
    Values bias = reference::random_values("bias", DType::f32, Shape{1, 300});
    Values residual = draw("residual", Shape{m, 300});
    std::vector<std::vector<std::byte>> products;
    std::vector<std::vector<std::byte>> packed;
    for (const std::int64_t threads : {1, 2, 3}) {
      device::Pool pool(threads);
      const Rhs rhs = pack_rhs(on(pool), b, true);
      packed.push_back(rhs.storage.bytes());
      Values c(dtype(), Shape{m, 300});
      const Tensor bias_view = bias.tensor();
      const Tensor residual_view = residual.tensor();
      gemm(on(pool), a.tensor(), rhs.packed, c.tensor(),
           {.bias = &bias_view, .residual = &residual_view});
      products.push_back(c.bytes());
    }
    EXPECT_EQ(packed[0], packed[1]);
    EXPECT_EQ(packed[0], packed[2]);
    EXPECT_EQ(products[0], products[1]) << "m = " << m;
    EXPECT_EQ(products[0], products[2]) << "m = " << m;
  }
}

TEST_P(Gemm, AccumulatedTwiceGoesOnWithTheSameChain) {
  Values a = left(11, 100);
  Values b = draw("b", Shape{100, 70});
  const Rhs rhs = pack_rhs(ctx(), b, false);
  Values whole(DType::f32, Shape{11, 70});
  gemm(ctx(), a.tensor(), rhs.packed, whole.tensor(), {.accumulate = true});
  Values parts(DType::f32, Shape{11, 70});
  const bool tiles = GetParam().isa == device::Isa::amx_bf16 && dtype() == DType::bf16;
  const int cut = tiles ? 64 : 38;  // tiles sum in blocks of 32
  for (const auto& [begin, end] : {std::pair{0, cut}, std::pair{cut, 100}}) {
    Values piece(dtype(), matrix_of(b.tensor().row_slice(begin, end)));
    const Rhs part = pack_rhs(ctx(), piece, false);
    gemm(ctx(), a.tensor().column_slice(begin, end), part.packed, parts.tensor(),
         {.accumulate = true});
  }
  EXPECT_EQ(whole.bytes(), parts.bytes());
}

// dw += dy^T x.
void add_weight_gradient(const device::Context& ctx, const Tensor& dy, const Tensor& x,
                         Values& dw) {
  Values scratch(DType::u8,
                 Shape{weight_gradient_scratch(ctx, x.dtype, x.rows(), dy.columns(), x.columns())});
  weight_gradient(ctx, dy, x, dw.tensor(), scratch.tensor());
}

TEST_P(Gemm, WeightGradientsAreAddedAsTheTwinAddsThem) {
  for (const std::int64_t rows : {1, 37, 1025, 2049})
    for (const std::int64_t out : {1, 23, 100, 401})
      for (const std::int64_t in : {1, 70}) {
        Values dy = draw("dy", Shape{rows, out});
        Values x = draw("x", Shape{rows, in});
        Values dw = reference::random_values("dw", DType::f32, Shape{out, in}, 5);
        const Matrix expected = dw.matrix() + matmul(reference::transpose(dy.matrix()), x.matrix());
        add_weight_gradient(ctx(), dy.tensor(), x.tensor(), dw);
        EXPECT_LE(relative_error(dw.matrix(), expected), 1e-5) << rows << " " << out << " " << in;
      }
}

TEST_P(Gemm, WeightGradientsHaveTheSameBitsOnAnyThreadsAndInParts) {
  constexpr std::int64_t kRows = 2176;
  Values dy = draw("dy", Shape{kRows, 500});
  Values x = draw("x", Shape{kRows, 70});
  Values whole(DType::f32, Shape{500, 70});
  add_weight_gradient(ctx(), dy.tensor(), x.tensor(), whole);
  for (const std::int64_t threads : {2, 3}) {
    device::Pool pool(threads);
    Values again(DType::f32, Shape{500, 70});
    add_weight_gradient(on(pool), dy.tensor(), x.tensor(), again);
    EXPECT_EQ(again.bytes(), whole.bytes()) << threads << " threads";
  }
  Values parts(DType::f32, Shape{500, 70});
  for (const auto& [begin, end] : {std::pair{0, 64}, {64, 1600}, {1600, 2176}})
    add_weight_gradient(ctx(), dy.tensor().row_slice(begin, end), x.tensor().row_slice(begin, end),
                        parts);
  EXPECT_EQ(parts.bytes(), whole.bytes());
}

TEST_P(Gemm, TransposesOddSizesAndPadsWithZeros) {
  device::Pool pool(2);
  for (const std::int64_t rows : {1, 7, 33, 64})
    for (const std::int64_t columns : {1, 13, 100}) {
      Values src = draw("src", Shape{rows, columns});
      Values dst = draw("dirty", Shape{columns, rows + 3});
      transpose(on(pool), src.tensor(), dst.tensor());
      const Matrix got = dst.matrix();
      EXPECT_EQ(reference::columns_of(got, 0, rows).values, transpose(src.matrix()).values);
      EXPECT_EQ(largest(reference::columns_of(got, rows, rows + 3)), 0);
    }
}

TEST_P(Gemm, ANotANumberInARowStaysInThatRow) {
  Values clean = left(9, 64);
  Values b = draw("b", Shape{40, 64});
  const Rhs rhs = pack_rhs(ctx(), b, true);
  Values untouched(dtype(), Shape{9, 40});
  gemm(ctx(), clean.tensor(), rhs.packed, untouched.tensor());
  const Matrix expected = untouched.matrix();
  for (const double bad : {std::nan(""), double{INFINITY}, -double{INFINITY}}) {
    Values a = clean;
    a.set(4, 10, bad);
    Values c(dtype(), Shape{9, 40});
    gemm(ctx(), a.tensor(), rhs.packed, c.tensor());
    const Matrix got = c.matrix();
    for (std::int64_t r = 0; r < 9; ++r)
      for (std::int64_t n = 0; n < 40; ++n) {
        if (r == 4)
          EXPECT_FALSE(std::isfinite(got(r, n)));
        else
          EXPECT_EQ(got(r, n), expected(r, n));
      }
  }
}

BOREAL_EVERYWHERE(Gemm);

TEST(GemmDeathTest, NamesBothSizesWhenTheyDisagree) {
  device::Pool pool(1);
  const device::Context ctx = device::cpu_context(pool);
  Values a(DType::f32, Shape{2, 5});
  Values c(DType::f32, Shape{2, 4});
  Values storage(DType::u8, Shape{packed_bytes(DType::f32, 6, 4)});
  const Packed b = packed_view(storage.tensor(), DType::f32, 6, 4);
  EXPECT_DEATH(gemm(ctx, a.tensor(), b, c.tensor()), "5 against 6");
}

TEST(Gemm, OnTheMetaDeviceOnlyChecksShapes) {
  const device::Context meta = device::meta_context(2);
  const Packed b = packed_view(Tensor(nullptr, DType::u8, Shape{packed_bytes(DType::bf16, 6, 4)}),
                               DType::bf16, 6, 4);
  gemm(meta, Tensor(nullptr, DType::bf16, Shape{3, 6}), b,
       Tensor(nullptr, DType::bf16, Shape{3, 4}));
  EXPECT_DEATH(gemm(meta, Tensor(nullptr, DType::bf16, Shape{3, 6}), b,
                    Tensor(nullptr, DType::bf16, Shape{3, 5})),
               "5 against 4");
}

}  // namespace
}  // namespace boreal::kernels
