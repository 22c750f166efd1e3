#include "kernels/quantized.h"

#include <cmath>
#include <map>
#include <vector>

#include "tests/kernels/fixture.h"
#include "tests/reference/quantized.h"

namespace boreal::kernels {
namespace {

using reference::bytes_of_tensor;
using reference::Matrix;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

constexpr WeightFormat kFormats[] = {WeightFormat::q8_0, WeightFormat::q4_0};

int bits(WeightFormat format) {
  return format == WeightFormat::q8_0 ? 8 : 4;
}

// A weight [n, k] as blocks, as a right-hand side, and as the numbers that it stands for.
struct Rhs {
  Rhs(const device::Context& ctx, Values& weight, WeightFormat format) {
    const Tensor w = weight.tensor();
    const std::int64_t n = w.rows();
    const std::int64_t k = w.columns();
    blocks = Values(DType::u8, Shape{n, block_row_bytes(format, k)});
    to_blocks(ctx, w, format, blocks.tensor());
    numbers = reference::weights_of_blocks(blocks.bytes(), bits(format), n, k);
    storage = Values(DType::u8, Shape{quantized_bytes(format, k, n)});
    scratch = Values(DType::u8, Shape{quantized_scratch_bytes(k)});
    packed = quantized_view(storage.tensor(), scratch.tensor(), format, k, n);
    pack_blocks(ctx, blocks.tensor(), packed);
  }
  Values blocks, storage, scratch;
  Matrix numbers;
  Packed packed;
};

class Quantized : public KernelTest {
 protected:
  Values product(const device::Context& ctx, Values& a, const Rhs& rhs, DType out) {
    Values c(out, Shape{a.tensor().rows(), rhs.packed.n});
    gemm(ctx, a.tensor(), rhs.packed, c.tensor());
    return c;
  }
};

TEST_P(Quantized, ProductEqualsTheTwinAtOddSizes) {
  for (const WeightFormat format : kFormats)
    for (const std::int64_t m : {1, 2, 5, 7, 13})
      for (const std::int64_t n : {1, 24, 65, 130})
        for (const std::int64_t k : {1, 31, 32, 101, 160, 610}) {
          Values a = draw("a", Shape{m, k});
          Values w = draw("w", Shape{n, k});
          const Rhs rhs(ctx(), w, format);
          const Matrix expected = quantized_product(a.matrix(), rhs.numbers);
          for (const DType out : {dtype(), DType::f32})
            EXPECT_LE(relative_error(product(ctx(), a, rhs, out).matrix(), expected),
                      reference::tolerance(out))
                << name_of(format) << " " << m << " x " << k << " x " << n;
        }
}

TEST_P(Quantized, BlocksAreAsNearAsTheirStepsAllow) {
  for (const WeightFormat format : kFormats) {
    Values w = draw("w", Shape{9, 70});
    const Rhs rhs(ctx(), w, format);
    const Matrix exact = w.matrix();
    for (std::int64_t r = 0; r < 9; ++r)
      for (std::int64_t begin = 0; begin < 70; begin += 32) {
        double most = 0;
        for (std::int64_t c = begin; c < std::min<std::int64_t>(begin + 32, 70); ++c)
          most = std::max(most, std::abs(exact(r, c)));
        // Half a step, and the rounding of the scale. Of 4 bits the far end lacks a step.
        const double step = most / (bits(format) == 8 ? 127 : 8);
        const double allowed = bits(format) == 8 ? step * 0.57 : step * 1.01;
        for (std::int64_t c = begin; c < std::min<std::int64_t>(begin + 32, 70); ++c)
          EXPECT_LE(std::abs(rhs.numbers(r, c) - exact(r, c)), allowed);
      }
    Values back(DType::f32, Shape{9, 70});
    Values blocks = rhs.blocks;
    from_blocks(ctx(), blocks.tensor(), format, back.tensor());
    EXPECT_EQ(back.matrix().values, rhs.numbers.values);
    // Blocks of what blocks stand for are the same blocks, and values pack as their blocks do.
    const Rhs again(ctx(), back, format);
    EXPECT_EQ(again.blocks.bytes(), rhs.blocks.bytes());
    Rhs packed = again;
    packed.packed.storage = packed.storage.tensor();
    pack_quantized(ctx(), back.tensor(), packed.packed);
    EXPECT_EQ(packed.storage.bytes(), rhs.storage.bytes());
  }
}

TEST_P(Quantized, AddsBiasAndResidualAndReadsSlices) {
  for (const WeightFormat format : kFormats) {
    Values wide = draw("wide", Shape{99, 100});
    const Tensor a = wide.tensor().column_slice(10, 76);
    Values w = draw("w", Shape{70, 66});
    const Rhs rhs(ctx(), w, format);
    Values bias = reference::random_values("bias", DType::f32, Shape{1, 70}, 5);
    const Tensor bias_view = bias.tensor();
    Values residual = draw("residual", Shape{99, 80}, 5);
    const Tensor residual_view = residual.tensor().column_slice(4, 74);
    Values c(dtype(), Shape{99, 90});
    gemm(ctx(), a, rhs.packed, c.tensor().column_slice(7, 77),
         {.bias = &bias_view, .residual = &residual_view});
    const Matrix product =
        quantized_product(reference::columns_of(wide.matrix(), 10, 76), rhs.numbers);
    const Matrix expected =
        add_to_rows(product, bias.matrix()) + reference::columns_of(residual.matrix(), 4, 74);
    const Matrix got = c.matrix();
    EXPECT_LE(relative_error(reference::columns_of(got, 7, 77), expected), tolerance());
    EXPECT_EQ(largest(reference::columns_of(got, 0, 7)), 0);
    EXPECT_EQ(largest(reference::columns_of(got, 77, 90)), 0);
  }
}

TEST_P(Quantized, GivesARowTheSameBitsAloneAmongManyAndOnManyThreads) {
  constexpr std::int64_t kRows = 300;
  for (const WeightFormat format : kFormats) {
    Values a = draw("a", Shape{kRows, 800});
    Values w = draw("w", Shape{200, 800});
    const Rhs rhs(ctx(), w, format);
    Values all = product(ctx(), a, rhs, dtype());
    for (const std::int64_t threads : {2, 3}) {
      device::Pool pool(threads);
      EXPECT_EQ(product(on(pool), a, rhs, dtype()).bytes(), all.bytes());
    }
    for (const std::int64_t count : {1, 2, 7, 32, 33})
      for (const std::int64_t r : {0, 1, 95, 96, 201, 267}) {
        Values some(dtype(), Shape{count, 200});
        gemm(ctx(), a.tensor().row_slice(r, r + count), rhs.packed, some.tensor());
        EXPECT_EQ(some.bytes(), bytes_of_tensor(all.tensor().row_slice(r, r + count)))
            << count << " rows from " << r;
      }
  }
}

TEST_P(Quantized, ARowThatIsNotFiniteIsNotANumberAndStaysAlone) {
  for (const WeightFormat format : kFormats) {
    Values clean = draw("a", Shape{9, 64});
    Values w = draw("w", Shape{40, 64});
    const Rhs rhs(ctx(), w, format);
    const Matrix expected = product(ctx(), clean, rhs, dtype()).matrix();
    for (const double bad : {std::nan(""), double{INFINITY}, -double{INFINITY}}) {
      Values a = clean;
      a.set(4, 40, bad);
      const Matrix got = product(ctx(), a, rhs, dtype()).matrix();
      for (std::int64_t r = 0; r < 9; ++r)
        for (std::int64_t n = 0; n < 40; ++n) {
          if (r == 4)
            EXPECT_TRUE(std::isnan(got(r, n)));
          else
            EXPECT_EQ(got(r, n), expected(r, n));
        }
    }
    Values broken = w;
    broken.set(3, 10, std::nan(""));
    const Rhs bad(ctx(), broken, format);
    const Matrix got = product(ctx(), clean, bad, dtype()).matrix();
    for (std::int64_t n = 0; n < 40; ++n) EXPECT_EQ(std::isnan(got(2, n)), n == 3);
  }
}

TEST_P(Quantized, TinyAndHugeActivationsStayInTheFloats) {
  for (const WeightFormat format : kFormats)
    for (const double scale : {1e-38, 1e-31, 1e-28, 1e30}) {
      Values a = draw("a", Shape{3, 64}, scale);
      Values w = draw("w", Shape{20, 64});
      const Rhs rhs(ctx(), w, format);
      const Matrix got = product(ctx(), a, rhs, DType::f32).matrix();
      const Matrix expected = quantized_product(a.matrix(), rhs.numbers);
      if (scale < 1e-30) {
        EXPECT_EQ(largest(got), 0);
      } else {
        EXPECT_LE(relative_error(got, expected), 1e-5);
      }
    }
}

BOREAL_EVERYWHERE(Quantized);

TEST(QuantizedSets, AllInstructionSetsGiveTheSameBits) {
  for (const WeightFormat format : kFormats)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Values a = reference::random_values("a", dtype, Shape{11, 1000});
      Values w = reference::random_values("w", dtype, Shape{130, 1000});
      std::vector<std::byte> first;
      for (const device::Isa isa : device::available_isas()) {
        device::Pool pool(2);
        device::Context ctx = device::cpu_context(pool);
        ctx.isa = isa;
        const Rhs rhs(ctx, w, format);
        Values c(DType::f32, Shape{11, 130});
        gemm(ctx, a.tensor(), rhs.packed, c.tensor());
        if (first.empty()) first = c.bytes();
        EXPECT_EQ(c.bytes(), first) << name_of(format) << " on " << device::name_of(isa);
      }
    }
}

TEST(QuantizedSets, OnTheMetaDeviceOnlyChecksShapes) {
  const device::Context meta = device::meta_context(2);
  const WeightFormat format = WeightFormat::q4_0;
  const Packed b =
      quantized_view(Tensor(nullptr, DType::u8, Shape{quantized_bytes(format, 6, 4)}),
                     Tensor(nullptr, DType::u8, Shape{quantized_scratch_bytes(6)}), format, 6, 4);
  gemm(meta, Tensor(nullptr, DType::bf16, Shape{3, 6}), b,
       Tensor(nullptr, DType::bf16, Shape{3, 4}));
  EXPECT_DEATH(gemm(meta, Tensor(nullptr, DType::bf16, Shape{3, 6}), b,
                    Tensor(nullptr, DType::bf16, Shape{3, 5})),
               "5 against 4");
}

}  // namespace
}  // namespace boreal::kernels
