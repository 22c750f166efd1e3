#include "text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <chrono>
#include <ctime>

#include "base/philox.h"

namespace boreal::text {
namespace {

std::string utf8(std::uint32_t c) {
  std::string bytes(4, '\0');
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c),
                                      reinterpret_cast<utf8proc_uint8_t*>(bytes.data()));
  bytes.resize(static_cast<std::size_t>(n));
  return bytes;
}

bool is_surrogate(std::uint32_t c) {
  return c >= 0xd800 && c < 0xe000;
}

TEST(Unicode, ClassesAgreeWithUtf8procOnEveryCodePointThatItKnows) {
  int known = 0;
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    if (is_surrogate(c)) continue;
    const std::string category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
    if (category == "Cn") continue;  // perhaps assigned since its version of Unicode
    ++known;
    const CharClass cls = class_of(c);
    ASSERT_EQ(is_letter(cls), category[0] == 'L') << std::hex << c;
    ASSERT_EQ(cls == CharClass::lower, category == "Ll") << std::hex << c;
    ASSERT_EQ(cls == CharClass::upper, category == "Lu" || category == "Lt") << std::hex << c;
    const bool symbol = cls == CharClass::symbol || cls == CharClass::word_symbol;
    ASSERT_EQ(symbol, category[0] == 'P' || category[0] == 'S') << std::hex << c;
    ASSERT_EQ(cls == CharClass::mark, category[0] == 'M') << std::hex << c;
    ASSERT_EQ(is_number(cls), category[0] == 'N') << std::hex << c;
    ASSERT_EQ(cls == CharClass::number_symbol, category == "No") << std::hex << c;
    const bool space = category[0] == 'Z' || (c >= 9 && c <= 13) || c == 0x85;
    ASSERT_EQ(cls == CharClass::space, space) << std::hex << c;
    ASSERT_TRUE(category != "Pc" || is_word(cls)) << std::hex << c;
  }
  EXPECT_GT(known, 140000);
}

TEST(Unicode, AsciiByRuleAgreesWithTheTable) {
  for (std::uint32_t c = 0; c < 128; ++c) EXPECT_EQ(kAsciiClasses[c], class_of(c)) << c;
}

TEST(Unicode, EveryCodePointIsReadBackFromBothSides) {
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    if (is_surrogate(c)) continue;
    const std::string bytes = utf8(c);
    ASSERT_EQ(code_point_at(bytes, 0).value, c);
    ASSERT_EQ(code_point_at(bytes, 0).size_bytes, bytes.size());
    ASSERT_EQ(code_point_before("x" + bytes, bytes.size() + 1).value, c);
  }
}

TEST(Unicode, MalformedSequencesAreBytesOfTheirOwn) {
  for (const std::string_view bytes :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3x"}) {
    EXPECT_EQ(code_point_at(bytes, 0).value, CodePoint::kInvalid);
    EXPECT_EQ(code_point_at(bytes, 0).size_bytes, 1U);
    EXPECT_FALSE(is_utf8(bytes));
  }
  EXPECT_TRUE(is_utf8("a\u00e9\u20ac\U0001f600"));
}

// The whole of utf8proc's own composition, which must agree on every text of one piece of UTF-8.
std::string reference_nfc(const std::string& text) {
  auto* const composed = utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
  std::string out(reinterpret_cast<const char*>(composed));
  std::free(composed);
  return out;
}

TEST(Unicode, NfcAgreesWithUtf8procOnRandomText) {
  const Rng rng(7, "nfc");
  const std::vector<std::uint32_t> favourites = {'a',    'e',    ' ',    0xe9,   0x301,  0x323,
                                                 0x307,  0x308,  0x1100, 0x1161, 0x11a8, 0xac00,
                                                 0x212b, 0x1e0b, 0x958,  0x344,  0x9c7,  0x9be};
  std::uint64_t draw = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.bits(draw++) % 12 + 1; n > 0; --n) {
      const std::uint64_t bits = rng.bits(draw++);
      std::uint32_t c = favourites[(bits >> 32) % favourites.size()];
      if (bits % 4 == 0) c = static_cast<std::uint32_t>((bits >> 8) % 0x30000) + 1;
      if (!is_surrogate(c)) text += utf8(c);
    }
    ASSERT_EQ(nfc(text), reference_nfc(text)) << text;
    ASSERT_TRUE(!is_surely_nfc(text) || nfc(text) == text) << text;
  }
}

TEST(Unicode, NfcLeavesBytesThatAreNoTextWhereTheyAre) {
  EXPECT_EQ(nfc("e\u0301\xff"
                "e\u0301"),
            "\u00e9\xff\u00e9");
  EXPECT_EQ(nfc("\xff\u0301\xc3"), "\xff\u0301\xc3");
  EXPECT_EQ(nfc(""), "");
}

TEST(Unicode, NfcOfAMillionBytesOfMarksIsNotQuadratic) {
  std::string marks = "a";
  while (marks.size() < 1000000) marks += "\u0301\u0323";
  const std::clock_t begin = std::clock();
  const std::string composed = nfc(marks);
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 10);
  EXPECT_EQ(composed.substr(0, 5), "\u1ea1\u0323");
}

}  // namespace
}  // namespace boreal::text
