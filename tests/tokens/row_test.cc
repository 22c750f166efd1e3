#include "tokens/row.h"

#include <gtest/gtest.h>

namespace boreal::tokens {
namespace {

TEST(Rows, OfABatchAreCutOutOfEachOfItsArrays) {
  Batch batch = make_batch(3, 2);
  for (std::int32_t i = 0; i < 6; ++i) {
    const auto at = static_cast<std::size_t>(i);
    batch.input[at] = i;
    batch.target[at] = 10 + i;
    batch.weight[at] = 0.5F * static_cast<float>(i);
    batch.position[at] = 20 + i;
    batch.doc_begin[at] = 30 + i;
  }
  EXPECT_EQ(sum_of_weights(batch), 7.5);
  const Batch part = rows_of(batch, 1, 2);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.sequence, 2);
  EXPECT_EQ(part.input, (std::vector<std::int32_t>{2, 3, 4, 5}));
  EXPECT_EQ(part.target, (std::vector<std::int32_t>{12, 13, 14, 15}));
  EXPECT_EQ(part.weight, (std::vector<float>{1, 1.5F, 2, 2.5F}));
  EXPECT_EQ(part.position, (std::vector<std::int32_t>{22, 23, 24, 25}));
  EXPECT_EQ(part.doc_begin, (std::vector<std::int32_t>{32, 33, 34, 35}));
  EXPECT_EQ(sum_of_weights(part), 7);
}

}  // namespace
}  // namespace boreal::tokens
