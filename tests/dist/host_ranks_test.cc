#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/place_rank.h"

namespace boreal::dist {
namespace {

using testing::ElementsAre;

TEST(HostRanks, AreThoseOfTheSameNameInRankOrder) {
  const std::vector<std::string> texts = {processors_text("a", {0, 1}), processors_text("b", {0}),
                                          processors_text("a", {2, 3, 8}),
                                          processors_text("a b", {5})};
  const device::HostRanks ranks = host_ranks(texts, 2);
  EXPECT_EQ(ranks.local_rank, 1);
  EXPECT_THAT(ranks.masks, ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3, 8)));
  EXPECT_THAT(host_ranks(texts, 3).masks, ElementsAre(ElementsAre(5)));
}

}  // namespace
}  // namespace boreal::dist
