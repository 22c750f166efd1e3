#include "tensor/memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstring>

namespace boreal::tensor {
namespace {

TEST(Block, IsZeroedAlignedAndLargeEnough) {
  for (const std::int64_t bytes : {1, 63, 64, 4097, 3 << 20}) {
    const Block block(bytes);
    EXPECT_GE(block.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % 64, 0U);
    EXPECT_TRUE(std::all_of(block.data(), block.data() + block.bytes(),
                            [](std::byte b) { return b == std::byte{0}; }));
  }
  EXPECT_EQ(Block(0).data(), nullptr);
}

TEST(Block, ThatIsLargeBeginsOnAHugePageAndTakesNoMoreThanItSays) {
  for (const std::int64_t bytes : {2 << 20, (2 << 20) + 64, (7 << 20) + 4096 + 64}) {
    const Block block(bytes);
    EXPECT_EQ(block.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % (2 << 20), 0U);
    std::memset(block.data(), 1, static_cast<std::size_t>(bytes));  // all of it is there
  }
  // What was taken to align them is given back, and they are too.
  for (int i = 0; i < 100'000; ++i) const Block block(3 << 20);
}

TEST(Block, ThatGetsNoHugePagesIsMadeOfOrdinaryOnes) {
  ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  {
    const Block block(8 << 20);
    std::memset(block.data(), 1, static_cast<std::size_t>(block.bytes()));
    EXPECT_EQ(std::count(block.data(), block.data() + block.bytes(), std::byte{1}), 8 << 20);
  }
  ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
}

TEST(FirstTouch, PutsEveryPageInPlaceAndKeepsItsValues) {
  device::Pool pool(3);
  const device::Context ctx = device::cpu_context(pool);
  const std::int64_t bytes = (5 << 20) + 4096 + 64;
  const Block block(bytes);
  block.data()[7] = std::byte{3};
  first_touch(ctx, block);
  std::vector<unsigned char> present(static_cast<std::size_t>(bytes / 4096 + 1));
  ASSERT_EQ(mincore(block.data(), static_cast<std::size_t>(bytes), present.data()), 0);
  EXPECT_TRUE(std::ranges::all_of(present, [](unsigned char page) { return (page & 1) != 0; }));
  EXPECT_EQ(block.data()[7], std::byte{3});
  EXPECT_EQ(std::count(block.data(), block.data() + bytes, std::byte{0}), bytes - 1);
}

TEST(Block, MovesWithItsMemory) {
  Block one(100);
  std::byte* memory = one.data();
  memory[0] = std::byte{7};
  Block two = std::move(one);
  EXPECT_EQ(two.data(), memory);
  Block three(50);
  three = std::move(two);
  EXPECT_EQ(three.data(), memory);
  EXPECT_EQ(three.data()[0], std::byte{7});
}

TEST(Arena, GivesBackLastInFirstOutOnBothStacks) {
  Arena arena(4096);
  const Tensor kept = arena.tape(DType::f32, Shape{10});
  const std::int64_t tape = arena.tape_mark();
  const std::int64_t scratch = arena.scratch_mark();
  void* tape_at = arena.tape(DType::f32, Shape{100}).data;
  void* scratch_at = arena.scratch(DType::bf16, Shape{3, 7}).data;
  arena.tape_release(tape);
  arena.scratch_release(scratch);
  EXPECT_EQ(arena.tape(DType::f32, Shape{5}).data, tape_at);
  EXPECT_EQ(arena.scratch(DType::bf16, Shape{3, 7}).data, scratch_at);
  EXPECT_EQ(static_cast<std::byte*>(tape_at) - static_cast<std::byte*>(kept.data), 64);
}

TEST(Arena, NeverHandsOutTheSameByteTwice) {
  Arena arena(1 << 16);
  std::vector<Tensor> taken;
  for (std::int64_t i = 1; i <= 20; ++i) {
    taken.push_back(arena.tape(DType::u8, Shape{i * 37}));
    taken.push_back(arena.scratch(DType::f32, Shape{i}));
  }
  std::ranges::sort(taken, {}, [](const Tensor& t) { return t.data; });
  for (std::size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(taken[i].data) % 64, 0U);
    if (i + 1 < taken.size()) {
      EXPECT_LE(static_cast<std::byte*>(taken[i].data) + taken[i].bytes(),
                static_cast<std::byte*>(taken[i + 1].data));
    }
  }
}

TEST(Arena, WithoutMemoryRecordsTheSamePeak) {
  Arena meta;
  EXPECT_TRUE(meta.is_meta());
  const auto work = [](Arena& arena) {
    arena.tape(DType::f32, Shape{33});
    {
      const ScratchScope scope(arena);
      arena.scratch(DType::f32, Shape{1000});
      {
        const ScratchScope inner(arena);
        arena.scratch(DType::bf16, Shape{501});
      }
      arena.scratch(DType::bf16, Shape{100});
    }
    const std::int64_t mark = arena.tape_mark();
    arena.tape(DType::u8, Shape{4000});
    arena.tape_release(mark);
  };
  work(meta);
  EXPECT_EQ(meta.scratch_mark(), 0);
  EXPECT_EQ(meta.peak_bytes(), 192 + 4032 + 1024);
  Arena real(meta.peak_bytes());
  work(real);  // fits to the byte
  EXPECT_EQ(real.peak_bytes(), meta.peak_bytes());
  EXPECT_EQ(meta.tape(DType::f32, Shape{4}).data, nullptr);
}

TEST(ArenaDeathTest, StopsWhenAskedForMoreThanThePlanGave) {
  Arena arena(1024);
  arena.tape(DType::u8, Shape{512});
  arena.scratch(DType::u8, Shape{512});
  EXPECT_DEATH(arena.tape(DType::u8, Shape{1}), "needs 1088 bytes, the plan gave 1024");
  EXPECT_DEATH(arena.scratch(DType::u8, Shape{1}), "needs 1088 bytes, the plan gave 1024");
}

TEST(ArenaDeathTest, StopsWhenGivenBackWhatWasNotTaken) {
  Arena arena(1024);
  EXPECT_DEATH(arena.tape_release(64), "64 against 0");
  EXPECT_DEATH(arena.scratch_release(64), "64 against 0");
}

}  // namespace
}  // namespace boreal::tensor
