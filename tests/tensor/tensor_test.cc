#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace boreal::tensor {
namespace {

TEST(Shape, CountsElementsRowsAndColumns) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.elements(), 30);
  EXPECT_EQ(shape.columns(), 5);
  EXPECT_EQ(shape.rows(), 6);
  EXPECT_EQ(shape.text(), "[2, 3, 5]");
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{0, 4}).elements(), 0);
  EXPECT_TRUE((Shape{2, 3}) == (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{6}) == (Shape{6, 1}));
}

TEST(Tensor, SlicesOfRowsAndColumnsAreViewsOfTheSameMemory) {
  std::vector<float> memory(6 * 10);
  std::iota(memory.begin(), memory.end(), 0.0F);
  const Tensor whole(memory.data(), DType::f32, Shape{6, 10});
  EXPECT_TRUE(whole.dense());
  EXPECT_EQ(whole.bytes(), 240);
  const Tensor part = whole.column_slice(3, 7).row_slice(2, 4);
  EXPECT_EQ(part.rows(), 2);
  EXPECT_EQ(part.columns(), 4);
  EXPECT_EQ(part.row_stride, 10);
  EXPECT_FALSE(part.dense());
  EXPECT_EQ(static_cast<float*>(part.data), memory.data() + 23);
  EXPECT_TRUE(part.row_slice(0, 1).dense());  // one row has no gaps
}

TEST(Tensor, ReshapesWhatIsDense) {
  std::vector<float> memory(24);
  const Tensor t(memory.data(), DType::f32, Shape{2, 3, 4});
  EXPECT_EQ(t.rows(), 6);
  const Tensor flat = t.reshaped(Shape{24});
  EXPECT_EQ(flat.data, t.data);
  EXPECT_EQ(flat.row_stride, 24);
  EXPECT_EQ(t.reshaped(Shape{8, 3}).row_stride, 3);
}

TEST(Tensor, WithoutMemoryKeepsItsShapeThroughSlices) {
  const Tensor meta(nullptr, DType::bf16, Shape{8, 8});
  EXPECT_EQ(meta.column_slice(2, 5).data, nullptr);
  EXPECT_EQ(meta.row_slice(7, 8).data, nullptr);
  EXPECT_EQ(meta.column_slice(2, 5).columns(), 3);
}

TEST(TensorDeathTest, RefusesWhatIsOutsideOrDoesNotFit) {
  const Tensor t(nullptr, DType::f32, Shape{4, 6});
  EXPECT_DEATH(t.row_slice(2, 5), "rows 2..5 of \\[4, 6\\]");
  EXPECT_DEATH(t.column_slice(-1, 2), "columns -1..2");
  EXPECT_DEATH(t.column_slice(3, 2), "columns 3..2");
  EXPECT_DEATH(t.reshaped(Shape{5, 5}), "25 against 24");
  EXPECT_DEATH(t.column_slice(0, 3).reshaped(Shape{12}), "dense");
  EXPECT_DEATH((Shape{1, 2, 3, 4, 5}), "5 against 4");
}

}  // namespace
}  // namespace boreal::tensor
