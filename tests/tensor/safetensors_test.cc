#include "tensor/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>
#include <vector>

namespace boreal::tensor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// A folder of the test's own, gone afterwards.
class Safetensors : public testing::Test {
 protected:
  Safetensors() {
    std::string pattern = testing::TempDir() + "/safetensors-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~Safetensors() override { std::filesystem::remove_all(folder_); }

  std::string at(const std::string& name) const { return join_path(folder_, name); }

  std::string write(const std::string& name, const std::string& bytes) {
    // Neither synced nor truncated in place (which ext4 syncs too): there are thousands of these.
    EXPECT_TRUE(env_.remove_all(at(name)).ok());
    auto writer = env_.create(at(name));
    EXPECT_TRUE(writer.ok() && (*writer)->append(bytes).ok() && (*writer)->close().ok());
    return at(name);
  }

  // A file of this header and `data_bytes` zero bytes.
  static std::string file_of(const std::string& header, std::size_t data_bytes) {
    std::string out;
    for (std::size_t i = 0; i < 8; ++i) out += static_cast<char>(header.size() >> (8 * i) & 0xff);
    return out + header + std::string(data_bytes, '\0');
  }

  // Refusing is kind `refused`, names the file and says `why`.
  void expect_refused(const std::string& header, std::size_t data_bytes, const std::string& why) {
    expect_bytes_refused(file_of(header, data_bytes), why);
  }
  void expect_bytes_refused(const std::string& bytes, const std::string& why) {
    const auto file = SafetensorsFile::open(env_, write("bad.safetensors", bytes));
    ASSERT_FALSE(file.ok()) << "accepted, expected: " << why;
    EXPECT_EQ(file.error().kind, ErrorKind::refused);
    EXPECT_THAT(file.error().message, HasSubstr("bad.safetensors"));
    EXPECT_THAT(file.error().message, HasSubstr(why));
  }

  Env& env_ = Env::real();
  std::string folder_;
};

std::vector<float> as_f32(const SafetensorsFile& file, const std::string& name) {
  std::vector<float> out(static_cast<std::size_t>(file.find(name)->elements()));
  EXPECT_TRUE(file.read_as_f32(name, out).ok());
  return out;
}

TEST_F(Safetensors, AFileOfTheReferenceWriterIsReadAsItWasWritten) {
  const auto file = SafetensorsFile::open(
      env_, std::string(BOREAL_SOURCE_DIR) + "/tests/tensor/data/reference.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->entries().size(), 7U);
  EXPECT_THAT(file->metadata(),
              ElementsAre(Pair("by", "safetensors 0.8.0 \xc3\xa9"), Pair("format", "pt")));
  EXPECT_THAT(as_f32(*file, "half"), ElementsAre(1.0F, -2.5F, 65504.0F, 0x1p-24F));
  EXPECT_THAT(as_f32(*file, "brain"), ElementsAre(1.0F, -0.3359375F, to_float(to_bf16(3e38F))));
  EXPECT_THAT(as_f32(*file, "double"), ElementsAre(0.1F));
  EXPECT_TRUE(as_f32(*file, "none").empty());
  const auto single = file->tensor("single");
  ASSERT_TRUE(single.ok());
  EXPECT_EQ(single->shape, (Shape{2, 3, 2, 2}));
  for (int i = 0; i < 24; ++i)
    EXPECT_EQ(static_cast<const float*>(single->data)[i], static_cast<float>(i) / 8);
  const auto ids = file->tensor("ids");
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(static_cast<const std::int64_t*>(ids->data)[0], -1);
  EXPECT_EQ(static_cast<const std::int64_t*>(ids->data)[1], std::int64_t{1} << 40);
  EXPECT_EQ(file->find("mask")->dtype, "BOOL");
  EXPECT_THAT(file->tensor("mask").error().message, HasSubstr("BOOL"));
  EXPECT_THAT(file->tensor("lost").error().message, HasSubstr("no tensor 'lost'"));
  std::vector<float> two(2);
  std::vector<float> three(3);
  EXPECT_THAT(file->read_as_f32("ids", two).error().message, HasSubstr("I64"));
  EXPECT_THAT(file->read_as_f32("half", three).error().message,
              HasSubstr("4 elements, 3 are wanted"));
}

TEST_F(Safetensors, EveryHalfFloatConvertsExactly) {
  std::string data;
  for (int bits = 0; bits < 65536; ++bits) {
    data += static_cast<char>(bits & 0xff);
    data += static_cast<char>(bits >> 8);
  }
  std::string bytes =
      file_of(R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}})", 0);
  const auto file = SafetensorsFile::open(env_, write("half.safetensors", bytes + data));
  ASSERT_TRUE(file.ok()) << file.error().message;
  const std::vector<float> values = as_f32(*file, "h");
  for (int bits = 0; bits < 65536; ++bits) {
    const int exponent = bits >> 10 & 31;
    const int fraction = bits & 1023;
    const float got = values[static_cast<std::size_t>(bits)];
    EXPECT_EQ(std::signbit(got), bits >= 32768);
    if (exponent == 31 && fraction != 0) {
      EXPECT_TRUE(std::isnan(got)) << bits;
      continue;
    }
    const double wanted = exponent == 31  ? std::numeric_limits<double>::infinity()
                          : exponent == 0 ? std::ldexp(fraction, -24)
                                          : std::ldexp(1024 + fraction, exponent - 25);
    EXPECT_EQ(static_cast<double>(std::fabs(got)), wanted) << bits;
  }
}

TEST_F(Safetensors, WhatIsWrittenIsReadBackBitForBitAndAligned) {
  std::vector<float> weights(6);
  std::iota(weights.begin(), weights.end(), 0.5F);
  std::vector<std::uint8_t> bytes = {7, 8, 9};
  std::vector<double> scalar = {std::nan("")};
  std::vector<bf16_t> brain = {to_bf16(1.5F), to_bf16(-2.0F)};
  const Tensor w(weights.data(), DType::f32, Shape{2, 3});
  const std::vector<NamedTensor> tensors = {
      {"tiny", Tensor(bytes.data(), DType::u8, Shape{3})},
      {"a \"quoted\" name", Tensor(brain.data(), DType::bf16, Shape{2, 1, 1, 1})},
      {"w", w},
      {"columns", w.column_slice(1, 3)},
      {"scalar", Tensor(scalar.data(), DType::f64, Shape{})},
      {"empty", Tensor(nullptr, DType::i32, Shape{0, 5})},
  };
  ASSERT_TRUE(write_safetensors(env_, at("m.safetensors"), tensors, {{"format", "pt"}}).ok());
  EXPECT_FALSE(env_.exists(at("m.safetensors.tmp")));
  const auto file = SafetensorsFile::open(env_, at("m.safetensors"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->entries().size(), tensors.size());
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("format", "pt")));
  for (const auto& [name, tensor] : tensors) {
    const auto view = file->tensor(name);
    ASSERT_TRUE(view.ok()) << view.error().message;
    EXPECT_EQ(view->shape, tensor.shape);
    EXPECT_EQ(view->dtype, tensor.dtype);
    if (tensor.dense() && tensor.bytes() > 0) {
      EXPECT_EQ(std::memcmp(view->data, tensor.data, static_cast<std::size_t>(tensor.bytes())), 0);
    }
  }
  EXPECT_THAT(as_f32(*file, "columns"), ElementsAre(1.5F, 2.5F, 4.5F, 5.5F));
}

TEST_F(Safetensors, TheBufferBeginsAtAMultipleOf64ForNamesOfAnyLength) {
  float value = 1;
  for (std::size_t length = 1; length < 70; ++length) {
    const std::vector<NamedTensor> tensors = {
        {std::string(length, 'n'), Tensor(&value, DType::f32, Shape{1})}};
    ASSERT_TRUE(write_safetensors(env_, at("m.safetensors"), tensors, {}).ok());
    EXPECT_EQ((*env_.file_size(at("m.safetensors")) - 4) % 64, 0U) << length;
    ASSERT_TRUE(SafetensorsFile::open(env_, at("m.safetensors")).ok());
  }
}

TEST_F(Safetensors, UnalignedDataAreRefusedAsAViewAndStillReadable) {
  const std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} )";
  ASSERT_NE(header.size() % 4, 0U);
  const auto file = SafetensorsFile::open(env_, write("odd.safetensors", file_of(header, 4)));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_THAT(file->tensor("w").error().message, HasSubstr("not a multiple of its 4 bytes"));
  EXPECT_THAT(as_f32(*file, "w"), ElementsAre(0.0F));
}

TEST_F(Safetensors, TensorsOfMoreThanFourDimsAreListedButGiveNoView) {
  const auto file = SafetensorsFile::open(
      env_, write("five.safetensors",
                  file_of(R"({"w":{"dtype":"U8","shape":[1,2,1,1,1],"data_offsets":[0,2]}})", 2)));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->find("w")->elements(), 2);
  EXPECT_THAT(file->tensor("w").error().message, HasSubstr("5 dims"));
}

TEST_F(Safetensors, AFileWithoutTensorsIsLegal) {
  EXPECT_TRUE(SafetensorsFile::open(env_, write("none.safetensors", file_of("{}  ", 0))).ok());
}

TEST_F(Safetensors, DamagedFramesAreRefused) {
  expect_bytes_refused("", "holds 0 bytes");
  expect_bytes_refused("1234567", "holds 7 bytes");
  expect_bytes_refused(std::string(8, '\xff'), "18446744073709551615 bytes");
  expect_bytes_refused(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8), "100000001 bytes");
  expect_bytes_refused(std::string("\x05\0\0\0\0\0\0\0{}", 10), "has 5 bytes, but 2 follow");
  expect_bytes_refused(std::string(8, '\0'), "begins with byte -1");
  expect_refused(" {}", 0, "begins with byte 32");
  expect_refused("[]", 0, "begins with byte 91");
  expect_refused("{}\n", 0, "ends with byte 10");
  expect_refused("{} {}", 0, "not valid JSON");
  expect_refused("{", 0, "ends with byte 123");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},})", 1, "not valid JSON");
  expect_refused("{\"\xff\":{}}", 0, "not valid JSON");
}

TEST_F(Safetensors, EntriesOfAnyOtherFormAreRefused) {
  expect_refused(R"({"w":1})", 0, "'w' is a number");
  expect_refused(R"({"w":[]})", 0, "'w' is an array");
  expect_refused(R"({"w":null})", 0, "'w' is null");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "__metadata__ 'a' holds a number");
  expect_refused(R"({"__metadata__":{"a":{}}})", 0, "__metadata__ 'a' holds an object");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1]}})", 1, "'w' lacks data_offsets");
  expect_refused(R"({"w":{"shape":[1],"data_offsets":[0,1]}})", 1, "'w' lacks dtype");
  expect_refused(R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", 1, "'w' lacks shape");
  expect_refused(R"({"w":{"dtype":"I9","shape":[1],"data_offsets":[0,1]}})", 1, "dtype 'I9'");
  expect_refused(R"({"w":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1,
                 "dtype holds a number");
  expect_refused(R"({"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "negative");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}})", 1, "number 1e0");
  expect_refused(R"({"w":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "a string");
  expect_refused(R"({"w":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, "an array");
  expect_refused(R"({"w":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, "a number");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "1 data_offsets");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "key 'x'");
  expect_refused(R"({"w":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}})", 1,
                 "too large to be true");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],)"
                 R"("data_offsets":[0,1]}})",
                 1, "17 dims");
  expect_refused("{\"" + std::string(513, 'n') + "\":{}}", 0, "513 bytes");
  expect_refused(R"({"a\u0007":{}})", 0, "control character");
}

TEST_F(Safetensors, DuplicateKeysAreRefusedWhereverTheyStand) {
  const std::string w = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  expect_refused("{" + w + "," + w + "}", 1, "'w' stands twice");
  expect_refused(R"({"\u0077":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)" + w + "}", 1,
                 "'w' stands twice");
  expect_refused(R"({"__metadata__":{"a":"1","a":"1"}})", 0, "'a' stands twice in __metadata__");
  expect_refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "'__metadata__' stands twice");
  expect_refused(R"({"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
                 "'dtype' twice");
}

TEST_F(Safetensors, OffsetsThatDoNotTileTheDataAreRefusedWithBothValues) {
  const auto two = [](int a, int b, int c, int d) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},)"
                       R"("b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                       b - a, a, b, d - c, c, d);
  };
  EXPECT_TRUE(
      SafetensorsFile::open(env_, write("ok.safetensors", file_of(two(0, 4, 4, 6), 6))).ok());
  expect_refused(two(0, 4, 3, 6), 6,
                 "'b' begins at byte 3 of the data, but the one before ends at 4");
  expect_refused(two(0, 4, 5, 6), 6, "there is a hole");
  expect_refused(two(1, 4, 4, 6), 6, "'a' begins at byte 1");
  expect_refused(two(0, 4, 4, 6), 7, "end at byte 6 of the data, the file holds 7");
  expect_refused(two(0, 4, 4, 6), 5, "end at byte 6 of the data, the file holds 5");
  expect_refused(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "run backwards");
  expect_refused(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}})", 20,
                 "'w': shape [2, 3] of F32 needs 24 bytes, data_offsets [0, 20] hold 20");
  expect_refused(R"({"w":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "12 bits");
  expect_refused(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                 "too large to be true");
  expect_refused(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}})",
                 0, "too large to be true");
}

TEST_F(Safetensors, AFileCutAnywhereIsRefused) {
  std::vector<float> values(5, 1.0F);
  const std::vector<NamedTensor> tensors = {{"w", Tensor(values.data(), DType::f32, Shape{5})}};
  ASSERT_TRUE(write_safetensors(env_, at("m.safetensors"), tensors, {}).ok());
  const std::string whole = *env_.read_file(at("m.safetensors"));
  for (std::size_t length = 0; length < whole.size(); ++length)
    expect_bytes_refused(whole.substr(0, length), "byte");
  expect_bytes_refused(whole + '\0', "the file holds 21");
}

TEST_F(Safetensors, AFlippedByteInTheHeaderNeverCrashesAndNeverReadsOutsideTheData) {
  std::vector<float> values(5, 1.0F);
  const std::vector<NamedTensor> tensors = {{"w", Tensor(values.data(), DType::f32, Shape{5})},
                                            {"v", Tensor(values.data(), DType::f32, Shape{2, 2})}};
  ASSERT_TRUE(write_safetensors(env_, at("m.safetensors"), tensors, {{"k", "v"}}).ok());
  const std::string whole = *env_.read_file(at("m.safetensors"));
  int refusals = 0;
  for (std::size_t i = 0; i + 36 < whole.size(); ++i) {
    for (const int flip : {1, 2, 128, 255}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      const auto file = SafetensorsFile::open(env_, write("bad.safetensors", bytes));
      refusals += !file.ok();
      if (!file.ok()) continue;
      for (const SafetensorsEntry& entry : file->entries()) {
        std::vector<float> out(static_cast<std::size_t>(entry.elements()));
        (void)file->read_as_f32(entry.name, out);
      }
    }
  }
  EXPECT_GT(refusals, 500);  // what is left are other names, metadata and shapes of the same size
}

TEST_F(Safetensors, AMissingFileIsRefusedByName) {
  const auto file = SafetensorsFile::open(env_, at("absent.safetensors"));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::refused);
  EXPECT_THAT(file.error().message, HasSubstr("absent.safetensors"));
}

class ShardedModel : public Safetensors {
 protected:
  void shard(const std::string& file, const std::string& name, float value) {
    const std::vector<NamedTensor> tensors = {{name, Tensor(&value, DType::f32, Shape{1})}};
    ASSERT_TRUE(write_safetensors(env_, at(file), tensors, {}).ok());
  }
  Result<SafetensorsModel> with_index(const std::string& weight_map) {
    write("model.safetensors.index.json",
          R"({"metadata":{"total_size":8},"weight_map":)" + weight_map + "}");
    return SafetensorsModel::open(env_, folder_);
  }
};

TEST_F(ShardedModel, AnIndexJoinsItsFilesIntoOneModel) {
  shard("one.safetensors", "a", 1);
  shard("two.safetensors", "b", 2);
  const auto model = with_index(R"({"b":"two.safetensors","a":"one.safetensors"})");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_THAT(model->names(), ElementsAre("a", "b"));
  std::vector<float> out(1);
  ASSERT_TRUE(model->read_as_f32("b", out).ok());
  EXPECT_EQ(out[0], 2);
  EXPECT_EQ(*static_cast<const float*>(model->tensor("a")->data), 1);
  EXPECT_EQ(model->find("c"), nullptr);
  EXPECT_THAT(model->tensor("c").error().message, HasSubstr("no tensor 'c'"));
}

TEST_F(ShardedModel, AFolderWithOneFileAndAFileAloneAreModelsToo) {
  shard("model.safetensors", "a", 3);
  for (const std::string& path : {folder_, at("model.safetensors")}) {
    const auto model = SafetensorsModel::open(env_, path);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_THAT(model->names(), ElementsAre("a"));
  }
}

TEST_F(ShardedModel, AnIndexThatLiesIsRefused) {
  shard("one.safetensors", "a", 1);
  const auto message = [&](const std::string& map) { return with_index(map).error().message; };
  EXPECT_THAT(message(R"({"b":"one.safetensors"})"), HasSubstr("tensor 'b' lies in one"));
  EXPECT_THAT(message(R"({"a":"../one.safetensors"})"), HasSubstr("not a plain file name"));
  EXPECT_THAT(message(R"({"a":".."})"), HasSubstr("not a plain file name"));
  EXPECT_THAT(message(R"({"a":"gone.safetensors"})"), HasSubstr("gone.safetensors"));
  EXPECT_THAT(message(R"({"a":1})"), HasSubstr("'a' is no string"));
  EXPECT_THAT(message("[]"), HasSubstr("no object 'weight_map'"));
  EXPECT_THAT(message("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(message(R"({"a":"one.safetensors","a":"one.safetensors"})"),
              HasSubstr("'a' stands twice"));
}

TEST_F(ShardedModel, AFolderWithoutWeightsSaysWhatIsMissing) {
  const auto model = SafetensorsModel::open(env_, folder_);
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message, HasSubstr("model.safetensors.index.json"));
}

}  // namespace
}  // namespace boreal::tensor
