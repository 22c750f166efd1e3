#include "corpus/text_file.h"

#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/corpus/files.h"

namespace boreal::corpus {
namespace {

using testing::HasSubstr;

std::string gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 30000; ++i)
    text += std::to_string(i * 7919 % 10007) + (i % 9 == 0 ? "\n" : " ");
  return text;
}

class TextFileTest : public FileTest {};

TEST_F(TextFileTest, PlainGzipAndZstdGiveTheSameText) {
  const std::string text = long_text();
  EXPECT_EQ(*read_text_file(env, file("a.txt", text)), text);
  EXPECT_EQ(*read_text_file(env, file("a.txt.gz", gzip(text))), text);
  EXPECT_EQ(*read_text_file(env, file("a.txt.zst", zstd(text))), text);
}

TEST_F(TextFileTest, SeveralMembersAndFramesAreOneText) {
  EXPECT_EQ(*read_text_file(env, file("a.gz", gzip("one ") + gzip("two"))), "one two");
  EXPECT_EQ(*read_text_file(env, file("a.zst", zstd("one ") + zstd("two"))), "one two");
}

TEST_F(TextFileTest, EveryCutOfACompressedFileIsRefused) {
  const std::string text = long_text();
  for (const std::string& whole : {gzip(text), zstd(text)}) {
    const bool is_gzip = whole[0] == '\x1f';
    for (std::size_t size = 0; size < whole.size(); size += size < 64 ? 1 : 997) {
      const std::string cut = whole.substr(0, size);
      const auto result = is_gzip ? decompress_gzip(cut, "f") : decompress_zstd(cut, "f");
      EXPECT_THAT(message_of(result, ErrorKind::refused), HasSubstr("cut short")) << size;
    }
  }
}

TEST_F(TextFileTest, AFlippedByteOfAGzipFileIsRefusedWithItsName) {
  const std::string whole = gzip(long_text());
  for (std::size_t at = 10; at < whole.size(); at += 1009) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    EXPECT_THAT(message_of(read_text_file(env, file("d.gz", damaged)), ErrorKind::refused),
                HasSubstr("d.gz"));
  }
}

TEST_F(TextFileTest, APlainFileCalledGzIsRefused) {
  EXPECT_THAT(
      message_of(read_text_file(env, file("a.csv.gz", "name,mass\niron,56\n")), ErrorKind::refused),
      HasSubstr("is it a gzip file"));
}

TEST_F(TextFileTest, BytesThatAreNotUtf8AreRefusedWithTheirOffset) {
  EXPECT_THAT(
      message_of(read_text_file(env, file("latin.txt", "abc \xe9t\xe9")), ErrorKind::refused),
      HasSubstr("byte 4 (0xe9) is not UTF-8"));
}

TEST_F(TextFileTest, AByteOrderMarkIsDropped) {
  EXPECT_EQ(*read_text_file(env, file("bom.csv", "\xEF\xBB\xBFname")), "name");
}

TEST_F(TextFileTest, AMissingFileIsRefusedByName) {
  EXPECT_THAT(message_of(read_text_file(env, join_path(dir, "none.csv")), ErrorKind::refused),
              HasSubstr("none.csv"));
}

TEST(Utf8, WellFormedSequencesOfEveryLengthPass) {
  EXPECT_FALSE(
      find_invalid_utf8("a\xC2\xB0\xE2\x84\xA6\xF0\x9F\x8C\x8D\xED\x9F\xBF\xF4\x8F\xBF\xBF")
          .has_value());
}

TEST(Utf8, OverlongSurrogateTooHighAndCutSequencesAreFound) {
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x84", "\xFF"}) {
    EXPECT_EQ(find_invalid_utf8(std::string("ok") + bad), 2U) << bad;
  }
}

TEST(DataName, CompressionIsNoPartOfStemOrEnding) {
  EXPECT_EQ(data_suffix("d/a.b.csv.gz"), ".csv");
  EXPECT_EQ(data_stem("d/a.b.csv.gz"), "a.b");
  EXPECT_EQ(data_suffix("d/a"), "");
  EXPECT_EQ(data_stem("d/a.zst"), "a");
}

}  // namespace
}  // namespace boreal::corpus
