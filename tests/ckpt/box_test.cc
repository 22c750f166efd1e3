#include "ckpt/box.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

namespace boreal::ckpt {
namespace {

using tensor::Shape;
using tensor::Tensor;

TEST(Box, ReachingOutOfTheTensorIsNamedEvenForNumbersThatOverflow) {
  const Shape whole{4, 6};
  EXPECT_EQ(fault_of({{0, 0}, {4, 6}}, whole), "");
  EXPECT_EQ(fault_of({{4, 0}, {0, 6}}, whole), "");
  EXPECT_EQ(fault_of({{1, 0}, {4, 6}}, whole), "box [1, 0]+[4, 6] reaches out of [4, 6]");
  EXPECT_NE(fault_of({{-1, 0}, {1, 1}}, whole), "");
  EXPECT_NE(fault_of({{INT64_MAX, 0}, {INT64_MAX, 1}}, whole), "");
  EXPECT_NE(fault_of({{0}, {4}}, whole), "");
  EXPECT_NE(fault_of({{0}, {4, 6}}, whole), "");
}

TEST(Box, CoverageIsExactlyOnce) {
  const Shape whole{4, 6};
  const auto fault = [&](const std::vector<Box>& boxes) { return coverage_fault(boxes, whole); };
  EXPECT_EQ(fault({{{0, 0}, {4, 6}}}), "");
  EXPECT_EQ(fault({{{2, 0}, {2, 3}}, {{0, 0}, {2, 6}}, {{2, 3}, {2, 3}}}), "");
  EXPECT_EQ(fault({{{0, 0}, {2, 6}}}), "its 1 boxes hold 12 of the 24 elements of [4, 6]");
  EXPECT_EQ(fault({{{0, 0}, {3, 6}}, {{2, 0}, {2, 6}}}),
            "boxes [0, 0]+[3, 6] and [2, 0]+[2, 6] overlap");
  EXPECT_NE(fault({{{0, 0}, {4, 6}}, {{0, 0}, {4, 6}}}), "");
  EXPECT_EQ(coverage_fault(std::vector<Box>{{{}, Shape{}}}, Shape{}), "");
  EXPECT_NE(coverage_fault(std::vector<Box>{}, Shape{}), "");
  EXPECT_EQ(coverage_fault(std::vector<Box>{}, Shape{0, 3}), "");
}

// The obvious way: element by element, by coordinates.
TEST(Box, EveryPairOfBoxesSharesTheElementsThatCountingByCoordinatesFinds) {
  const std::int64_t rows = 3;
  const std::int64_t columns = 4;
  std::vector<Box> boxes;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      for (std::int64_t h = 0; r + h <= rows; ++h)
        for (std::int64_t w = 0; c + w <= columns; ++w) boxes.push_back({{r, c}, {h, w}});
  for (const Box& from : boxes) {
    std::vector<float> source;
    for (std::int64_t r = 0; r < from.shape[0]; ++r)
      for (std::int64_t c = 0; c < from.shape[1]; ++c)
        source.push_back(static_cast<float>((from.offset[0] + r) * columns + from.offset[1] + c));
    for (const Box& to : boxes) {
      std::vector<float> target(30, -1);
      Tensor into(target.data(), DType::f32, to.shape);
      into.row_stride = to.shape[1] + 2;
      copy_shared(from, reinterpret_cast<const std::byte*>(source.data()), to, into);
      std::vector<float> wanted(30, -1);
      bool any = false;
      for (std::int64_t r = 0; r < to.shape[0]; ++r) {
        for (std::int64_t c = 0; c < to.shape[1]; ++c) {
          const std::int64_t row = to.offset[0] + r;
          const std::int64_t column = to.offset[1] + c;
          if (row < from.offset[0] || row >= from.offset[0] + from.shape[0] ||
              column < from.offset[1] || column >= from.offset[1] + from.shape[1])
            continue;
          any = true;
          wanted[static_cast<std::size_t>(r * into.row_stride + c)] =
              static_cast<float>(row * columns + column);
        }
      }
      ASSERT_EQ(target, wanted) << from.text() << " into " << to.text();
      ASSERT_EQ(overlap(from, to), any);
    }
  }
}

TEST(Box, FourDimsAreCopiedLikeTwo) {
  std::vector<std::int32_t> source(2 * 3 * 4 * 5);
  std::iota(source.begin(), source.end(), 0);
  std::vector<std::int32_t> target(2 * 2 * 2 * 3, -1);
  copy_shared({{0, 0, 0, 0}, {2, 3, 4, 5}}, reinterpret_cast<const std::byte*>(source.data()),
              {{0, 1, 2, 1}, {2, 2, 2, 3}}, Tensor(target.data(), DType::i32, {2, 2, 2, 3}));
  std::size_t at = 0;
  for (int i = 0; i < 2; ++i)
    for (int j = 1; j < 3; ++j)
      for (int k = 2; k < 4; ++k)
        for (int l = 1; l < 4; ++l) EXPECT_EQ(target[at++], ((i * 3 + j) * 4 + k) * 5 + l);
}

}  // namespace
}  // namespace boreal::ckpt
