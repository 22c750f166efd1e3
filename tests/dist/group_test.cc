#include "dist/group.h"

#include <gtest/gtest.h>

#include <vector>

namespace boreal::dist {
namespace {

using tensor::Shape;
using tensor::Tensor;

class GroupOfOne : public testing::Test {
 protected:
  device::Pool pool{1};
  device::Context ctx = device::cpu_context(pool);
  Group group;
  std::vector<float> from = {1.5F, -2.0F, 3.25F};
  std::vector<float> to = {0.0F, 0.0F, 0.0F};
  Tensor a{from.data(), DType::f32, Shape{3}};
  Tensor b{to.data(), DType::f32, Shape{3}};
};

TEST_F(GroupOfOne, HasOneRank) {
  EXPECT_EQ(group.size(), 1);
  EXPECT_EQ(group.rank(), 0);
}

TEST_F(GroupOfOne, AllReduceAndBroadcastLeaveTheValues) {
  group.all_reduce(ctx, a).wait();
  group.broadcast(ctx, a, 0).wait();
  EXPECT_EQ(from, (std::vector<float>{1.5F, -2.0F, 3.25F}));
}

TEST_F(GroupOfOne, GatherAndScatterCopyThePieceThatIsTheWhole) {
  group.all_gather(ctx, a, b).wait();
  EXPECT_EQ(to, from);
  to.assign(3, 0.0F);
  group.reduce_scatter(ctx, a, b).wait();
  EXPECT_EQ(to, from);
}

TEST_F(GroupOfOne, RefusesARootThatItDoesNotHave) {
  EXPECT_DEATH(group.broadcast(ctx, a, 1).wait(), "root");
}

TEST_F(GroupOfOne, RefusesPiecesOfAnotherSize) {
  EXPECT_DEATH(group.all_gather(ctx, a, Tensor(to.data(), DType::f32, Shape{2})).wait(), "bytes");
}

}  // namespace
}  // namespace boreal::dist
