#include "base/env.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dtype.h"
#include "base/hash.h"

namespace boreal {
namespace {

class EnvTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env.make_dirs(dir).ok()); }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }
  Env& env = Env::real();
  std::string dir = testing::TempDir() + "/boreal_env_test";
};

TEST_F(EnvTest, AWrittenFileIsReadBackAndLeavesNoTemporaryFile) {
  const std::string path = join_path(dir, "a.txt");
  ASSERT_TRUE(env.write_file(path, "hello").ok());
  EXPECT_EQ(*env.read_file(path), "hello");
  EXPECT_EQ(*env.list_dir(dir), std::vector<std::string>{"a.txt"});
  EXPECT_EQ(env.map_file(path).value()->bytes().size(), 5U);
}

TEST_F(EnvTest, AMissingFileIsRefusedByName) {
  const auto result = env.read_file(join_path(dir, "nothing"));
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("nothing: No such file"), std::string::npos);
  EXPECT_EQ(exit_code(result.error().kind), 3);
}

TEST_F(EnvTest, AFolderWhereAFileShouldBeIsNamedInTheOrderOfTheActAndNothingIsLeft) {
  const std::string path = join_path(dir, "folder");
  ASSERT_TRUE(env.make_dirs(path).ok());
  const auto status = env.write_file(path, "text");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message,
            "cannot rename " + path + ".tmp to " + path + ": Is a directory");
  EXPECT_FALSE(env.exists(path + ".tmp"));
}

// While it lives this process has no more rights than anyone.
class Nobody {
 public:
  Nobody() { was_root_ = ::geteuid() == 0 && ::setresuid(65534, 65534, 0) == 0; }
  ~Nobody() {
    if (was_root_) {
      EXPECT_EQ(::setresuid(0, 0, 0), 0);
    }
  }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  bool was_root_ = false;
};

TEST_F(EnvTest, WhatMayNotBeReadIsRefusedForThatReasonAndNotCalledMissing) {
  const std::string path = join_path(dir, "a.txt");
  ASSERT_TRUE(env.write_file(path, "text").ok());
  const auto expect_refused = [](const auto& result) {
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message.find("Permission denied"), std::string::npos);
    EXPECT_EQ(exit_code(result.error().kind), 3);
  };
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  {
    const Nobody nobody;
    expect_refused(env.read_file(path));
    expect_refused(env.map_file(path));
  }
  ASSERT_EQ(::chmod(dir.c_str(), 0), 0);
  {
    const Nobody nobody;
    EXPECT_TRUE(env.exists(path));
    expect_refused(env.read_file(path));
    expect_refused(env.list_dir(dir));
  }
  ASSERT_EQ(::chmod(dir.c_str(), 0755), 0);
}

TEST_F(EnvTest, ALockIsHeldOnceAndFreedWithItsOwner) {
  const std::string path = join_path(dir, "lock");
  {
    auto lock = env.lock(path);
    ASSERT_TRUE(lock.ok());
    EXPECT_FALSE(env.lock(path).ok());
  }
  EXPECT_TRUE(env.lock(path).ok());
}

TEST(Bf16, RoundsToNearestEvenAndKeepsNaN) {
  EXPECT_EQ(to_float(to_bf16(1.0F)), 1.0F);
  EXPECT_EQ(to_bf16(1.00390625F).bits, 0x3f80);  // exactly half way: to even
  EXPECT_EQ(to_bf16(1.01171875F).bits, 0x3f82);  // half way: to even, upwards
  const float nan = to_float(to_bf16(std::bit_cast<float>(0x7f800001U)));
  EXPECT_NE(nan, nan);
}

TEST(Hash, OfAStreamEqualsTheHashOfTheWhole) {
  Xxh3 hash;
  const std::string_view text = "the aurora borealis";
  hash.add(std::as_bytes(std::span(text.substr(0, 5))));
  hash.add(std::as_bytes(std::span(text.substr(5))));
  EXPECT_EQ(hash.hex(), xxh3_128_hex(text));
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace boreal
