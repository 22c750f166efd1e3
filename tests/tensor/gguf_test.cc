#include "tensor/gguf.h"

#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace boreal::tensor {
namespace {

using testing::HasSubstr;

class Gguf : public testing::Test {
 protected:
  Gguf() {
    std::filesystem::create_directories(testing::TempDir() + "gguf");
    path_ = testing::TempDir() + "gguf/model.gguf";
  }
  ~Gguf() override { std::filesystem::remove_all(testing::TempDir() + "gguf"); }

  static GgufPiece piece(const std::string& name, GgufType type, std::vector<std::int64_t> shape,
                         std::int64_t bytes, int fill) {
    return {name, type, std::move(shape), [=]() -> Result<Block> {
              Block block(bytes);
              std::memset(block.data(), fill, static_cast<std::size_t>(bytes));
              return block;
            }};
  }
  std::string write(const GgufFacts& facts, std::vector<GgufPiece> pieces) {
    EXPECT_TRUE(write_gguf(env_, path_, facts, pieces).ok());
    return env_.read_file(path_).value();
  }
  std::string sample() {
    GgufFacts facts;
    facts.text("general.architecture", "llama");
    facts.u32("llama.block_count", 3);
    facts.f32("llama.eps", 1e-5F);
    facts.boolean("flag", true);
    facts.texts("tokens", std::vector<std::string>{"a", "", "ccc"});
    facts.i32s("types", std::vector<std::int32_t>{1, -2, 3});
    return write(facts, {piece("one", GgufType::f32, {5}, 20, 1),
                         piece("two", GgufType::q4_0, {3, 64}, 3 * 36, 2),
                         piece("three", GgufType::bf16, {2, 7}, 28, 3)});
  }
  Result<GgufFile> open(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;  // thousands of files: none is synced
    return GgufFile::open(env_, path_);
  }
  // The text before `what` stands as it was, then other bytes of the same length.
  static std::string with(std::string bytes, const std::string& what, const std::string& other) {
    bytes.replace(bytes.find(what), other.size(), other);
    return bytes;
  }
  std::string complaint(const std::string& bytes) {
    const auto file = open(bytes);
    if (file.ok()) return "";
    EXPECT_EQ(file.error().kind, ErrorKind::refused);
    EXPECT_THAT(file.error().message, HasSubstr(path_));
    return file.error().message;
  }

  Env& env_ = Env::real();
  std::string path_;
};

TEST_F(Gguf, WhatIsWrittenIsRead) {
  const auto file = open(sample());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->text("general.architecture").value(), "llama");
  EXPECT_EQ(file->integer("llama.block_count").value(), 3);
  EXPECT_EQ(file->number("llama.eps").value(), double{1e-5F});
  EXPECT_THAT(file->texts("tokens").value(), testing::ElementsAre("a", "", "ccc"));
  EXPECT_THAT(file->integers("types").value(), testing::ElementsAre(1, -2, 3));
  ASSERT_EQ(file->tensors().size(), 3U);
  const GgufTensor* two = file->need("two").value();
  EXPECT_THAT(two->shape, testing::ElementsAre(3, 64));
  EXPECT_EQ(two->offset % 32, 0);
  EXPECT_THAT(file->data(*two), testing::SizeIs(3 * 36));
  EXPECT_THAT(file->data(*two), testing::Each(std::byte{2}));
  EXPECT_THAT(file->data(*file->need("three").value()), testing::Each(std::byte{3}));
  EXPECT_EQ(file->find("four"), nullptr);
  EXPECT_THAT(file->need("four").error().message, HasSubstr("four"));
  EXPECT_THAT(file->text("llama.block_count").error().message, HasSubstr("is no text"));
  EXPECT_THAT(file->integer("absent").error().message, HasSubstr("no \"absent\""));
}

TEST_F(Gguf, ACutFileIsRefusedWhereverItIsCut) {
  const std::string whole = sample();
  // The last tensor's padding is not needed.
  for (std::size_t size = 0; size + 4 < whole.size(); ++size)
    EXPECT_NE(complaint(whole.substr(0, size)), "") << size << " of " << whole.size();
}

TEST_F(Gguf, NoChangedByteCrashesTheReader) {
  const std::string whole = sample();
  std::size_t refusals = 0;
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const auto file = open(damaged);
      refusals += file.ok() ? 0 : 1;
      if (!file.ok()) continue;
      for (const GgufTensor& t : file->tensors())
        EXPECT_EQ(file->data(t).size(), static_cast<std::size_t>(t.bytes));
    }
  EXPECT_GT(refusals, whole.size() / 4);
}

TEST_F(Gguf, EachRefusalSaysWhatDisagrees) {
  const std::string whole = sample();
  const auto u32 = [](std::uint32_t x) { return std::string(reinterpret_cast<char*>(&x), 4); };
  const auto u64 = [](std::uint64_t x) { return std::string(reinterpret_cast<char*>(&x), 8); };
  const auto at = [&](std::size_t where, const std::string& bytes) {
    std::string damaged = whole;
    damaged.replace(where, bytes.size(), bytes);
    return complaint(damaged);
  };
  EXPECT_THAT(at(0, "GGML"), HasSubstr("no GGUF file"));
  EXPECT_THAT(at(4, u32(1)), HasSubstr("version 1"));
  EXPECT_THAT(at(4, std::string("\0\0\0\3", 4)), HasSubstr("big-endian"));
  EXPECT_THAT(at(8, u64(1U << 30)), HasSubstr("cut short or damaged"));
  EXPECT_THAT(at(16, u64(~0ULL)), HasSubstr("cut short or damaged"));
  EXPECT_THAT(at(24, u64(1ULL << 40)), HasSubstr("are left"));
  EXPECT_THAT(complaint(with(whole, "llama.eps", "llama.epz")), "");
  EXPECT_THAT(complaint(with(whole, "types", "flag\0")), "");
  // A tensor's head: name, dims, sizes (inner first), type, offset.
  const std::size_t two = whole.find("two") + 3;
  EXPECT_THAT(at(two, u32(9)), HasSubstr("9 dims"));
  EXPECT_THAT(at(two + 4, u64(0)), HasSubstr("dim of 0"));
  EXPECT_THAT(at(two + 4, u64(63)), HasSubstr("no multiple of the 32"));
  EXPECT_THAT(at(two + 4, u64(1ULL << 62)), HasSubstr("cannot be"));
  EXPECT_THAT(at(two + 24, u64(8)), HasSubstr("no multiple of 32"));
  EXPECT_THAT(at(two + 24, u64(0)), HasSubstr("share bytes"));
  EXPECT_THAT(at(two + 24, u64(1 << 20)), HasSubstr("behind the end"));
  std::string twice = whole;
  twice.replace(whole.find("two"), 3, "one");
  EXPECT_THAT(complaint(twice), HasSubstr("stands twice"));
}

TEST_F(Gguf, ATypeThatWeLackIsNamedWhenItIsRead) {
  std::string whole = sample();
  whole[whole.find("two") + 3 + 20] = 14;
  const auto file = open(whole);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_THAT(file->need("two").error().message, HasSubstr("type 14"));
}

TEST_F(Gguf, AFailureLeavesNoFile) {
  GgufPiece bad = piece("bad", GgufType::f32, {1}, 4, 0);
  bad.make = []() -> Result<Block> { return refused("not this one"); };
  EXPECT_FALSE(write_gguf(env_, path_, {}, std::vector{bad}).ok());
  EXPECT_FALSE(env_.exists(path_));
  EXPECT_FALSE(env_.exists(path_ + ".tmp"));
}

}  // namespace
}  // namespace boreal::tensor
