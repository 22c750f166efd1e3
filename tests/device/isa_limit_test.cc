#include <gtest/gtest.h>

#include <cstdlib>

#include "device/machine.h"

namespace boreal::device {
namespace {

// The variable is read once a process: each question gets a process of its own.
class IsaLimitDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(IsaLimitDeathTest, LowersTheInstructionSetButNeverRaisesIt) {
  EXPECT_EXIT(
      {
        setenv("BOREAL_ISA", "x86-64-v2", 1);
        std::exit(best_isa() == Isa::v2 && available_isas().size() == 1 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        setenv("BOREAL_ISA", "amx_bf16", 1);
        // What the processor has not is not made by asking for it.
        std::exit(best_isa() < Isa::avx2 || __builtin_cpu_supports("avx2") ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(IsaLimitDeathTest, RefusesANameThatItDoesNotKnow) {
  setenv("BOREAL_ISA", "avx9", 1);
  const Status status = check_isa_limit();
  unsetenv("BOREAL_ISA");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::usage);
  EXPECT_NE(status.error().message.find("avx512_bf16"), std::string::npos);
  EXPECT_TRUE(check_isa_limit().ok());
}

}  // namespace
}  // namespace boreal::device
