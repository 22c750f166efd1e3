#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace boreal::text {

namespace {

constexpr std::uint32_t kRuns[] = {
#include "text/unicode_classes.inc"
};
constexpr std::uint32_t kCodePoints = 0x110000;

std::vector<CharClass> expand_runs() {
  std::vector<CharClass> classes(kCodePoints);
  for (std::size_t i = 0; i < std::size(kRuns); ++i) {
    const std::uint32_t end = i + 1 < std::size(kRuns) ? kRuns[i + 1] >> 4 : kCodePoints;
    for (std::uint32_t c = kRuns[i] >> 4; c < end; ++c) {
      classes[c] = static_cast<CharClass>(kRuns[i] & 15U);
    }
  }
  return classes;
}

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

// Sorts runs of combining marks by their class, equal classes in order of appearance, as the
// canonical ordering wants. Own code because utf8proc's insertion sort is quadratic on long runs of
// marks.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  const auto rank = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto from = points.begin(); from != points.end();) {
    if (rank(*from) == 0) {
      ++from;
      continue;
    }
    const auto to = std::find_if(from, points.end(), [&](auto c) { return rank(c) == 0; });
    std::stable_sort(from, to, [&](auto a, auto b) { return rank(a) < rank(b); });
    from = to;
  }
}

void append_nfc(std::string_view valid, std::string& out) {
  std::vector<utf8proc_int32_t> points;
  points.reserve(valid.size());
  for (std::size_t at = 0; at < valid.size();) {
    const CodePoint c = code_point_at(valid, at);
    at += c.size_bytes;
    std::array<utf8proc_int32_t, 32> parts{};
    int boundary = 0;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts.data(),
                                           std::ssize(parts), UTF8PROC_DECOMPOSE, &boundary);
    CHECK(n > 0 && n <= std::ssize(parts), "U+{:04X} decomposes into {} parts", c.value, n);
    points.insert(points.end(), parts.begin(), parts.begin() + n);
  }
  order_marks(points);
  const auto size =
      utf8proc_normalize_utf32(points.data(), std::ssize(points),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  CHECK(size >= 0, "utf8proc: {}", utf8proc_errmsg(size));
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto n = utf8proc_encode_char(points[static_cast<std::size_t>(i)], bytes.data());
    for (utf8proc_ssize_t b = 0; b < n; ++b) {
      out += static_cast<char>(bytes[static_cast<std::size_t>(b)]);
    }
  }
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) {
  const std::uint32_t lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  const std::uint32_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < size) return {};
  std::uint32_t value = lead & (0x7fU >> size);
  for (std::uint32_t i = 1; i < size; ++i) {
    const std::uint32_t next = byte_at(text, at + i);
    if ((next & 0xc0U) != 0x80) return {};
    value = value << 6 | (next & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[size] || value >= kCodePoints || (value >= 0xd800 && value < 0xe000))
    return {};
  return {value, size};
}

CodePoint code_point_before(std::string_view text, std::size_t end) {
  for (std::size_t size = 1; size <= std::min<std::size_t>(4, end); ++size) {
    const CodePoint c = code_point_at(text, end - size);
    if (c.value != CodePoint::kInvalid && c.size_bytes == size) return c;
  }
  return {};
}

CharClass class_of(std::uint32_t code_point) {
  static const std::vector<CharClass> classes = expand_runs();
  return code_point < kCodePoints ? classes[code_point] : CharClass::other;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    if (c.value == CodePoint::kInvalid) return false;
    at += c.size_bytes;
  }
  return true;
}

// Code points below U+0300 are normalised, never join what stands before them, and have lead bytes
// below 0xCC.
bool is_surely_nfc(std::string_view text) {
  // Eight bytes at a time while they are ASCII.
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word = 0;
    if (text.size() - at >= sizeof(word)) {
      std::memcpy(&word, text.data() + at, sizeof(word));
      if ((word & 0x8080808080808080U) == 0) {
        at += sizeof(word);
        continue;
      }
    }
    if (byte_at(text, at) >= 0xcc) return false;
    ++at;
  }
  return true;
}

std::string nfc(std::string_view text) {
  constexpr std::uint32_t kFirstThatJoins = 0x300;
  std::string out;
  out.reserve(text.size());
  std::size_t done = 0;      // text before it is in out
  std::size_t previous = 0;  // where the code point before `at` begins
  for (std::size_t at = 0; at < text.size();) {
    CodePoint c = code_point_at(text, at);
    if (c.value == CodePoint::kInvalid || c.value < kFirstThatJoins) {
      previous = at;
      at += c.size_bytes;
      continue;
    }
    // A run of code points that may change or join, with the one in front of it if that is text.
    const bool joins = previous < at && previous >= done &&
                       code_point_at(text, previous).value != CodePoint::kInvalid;
    const std::size_t begin = joins ? previous : at;
    while (at < text.size()) {
      c = code_point_at(text, at);
      if (c.value == CodePoint::kInvalid || c.value < kFirstThatJoins) break;
      at += c.size_bytes;
    }
    out += text.substr(done, begin - done);
    append_nfc(text.substr(begin, at - begin), out);
    done = previous = at;
  }
  out += text.substr(done);
  return out;
}

}  // namespace boreal::text
