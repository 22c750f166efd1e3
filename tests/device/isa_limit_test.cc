#include <gtest/gtest.h>

#include "device/machine.h"

namespace boreal::device {
namespace {

class IsaLimit : public testing::Test {
 protected:
  ~IsaLimit() override { EXPECT_TRUE(limit_isa(name_of(Isa::amx_bf16)).ok()); }
};

TEST_F(IsaLimit, LowersTheInstructionSetAndNeverRaisesIt) {
  const std::vector<Isa> all = available_isas();
  for (const Isa isa : all) {
    ASSERT_TRUE(limit_isa(name_of(isa)).ok());
    EXPECT_EQ(best_isa(), isa);
    EXPECT_EQ(available_isas().back(), isa);
  }
  ASSERT_TRUE(limit_isa(name_of(Isa::amx_bf16)).ok());
  EXPECT_EQ(available_isas(), all) << "what the processor has not is not made by asking for it";
}

TEST_F(IsaLimit, RefusesANameThatItDoesNotKnow) {
  const Isa before = best_isa();
  const Status status = limit_isa("avx9");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::usage);
  EXPECT_NE(status.error().message.find("\"avx9\""), std::string::npos);
  EXPECT_NE(status.error().message.find("avx512_bf16"), std::string::npos);
  EXPECT_EQ(best_isa(), before);
}

}  // namespace
}  // namespace boreal::device
