#include "monitor/escape.h"

#include <utf8proc.h>

#include <cstdint>

namespace boreal::monitor {

namespace {

constexpr std::int32_t kReplacement = 0xFFFD;

struct CodePoint {
  std::int32_t value = kReplacement;
  std::size_t size_bytes = 1;
};

CodePoint first_of(std::string_view text) {
  utf8proc_int32_t value = 0;
  const utf8proc_ssize_t n =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       static_cast<utf8proc_ssize_t>(text.size()), &value);
  if (n <= 0) return {};
  return {value, static_cast<std::size_t>(n)};
}

void append(std::string& out, std::int32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(code_point, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
}

// The code point that stands for `c` where only visible text is wanted.
std::int32_t visible(std::int32_t c) {
  if (c < 0x20) return 0x2400 + c;
  if (c == 0x7F) return 0x2421;
  if (c < 0xA0 && c >= 0x80) return kReplacement;
  const bool noncharacter = (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
  return noncharacter ? kReplacement : c;
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    const bool line_end = text.starts_with("\r\n");
    text.remove_prefix(c.size_bytes);
    if (line_end) continue;
    switch (c.value) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      case '\t':
      case '\n': out += static_cast<char>(c.value); break;
      default: append(out, visible(c.value));
    }
  }
  return out;
}

std::string printable_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    text.remove_prefix(c.size_bytes);
    append(out, visible(c.value));
  }
  return out;
}

std::size_t width_columns(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    text.remove_prefix(c.size_bytes);
    columns += static_cast<std::size_t>(utf8proc_charwidth(c.value));
  }
  return columns;
}

std::string cut_to_width(std::string_view text, std::size_t columns_max) {
  if (width_columns(text) <= columns_max) return std::string(text);
  if (columns_max == 0) return {};
  std::size_t columns = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    const CodePoint c = first_of(text.substr(end));
    columns += static_cast<std::size_t>(utf8proc_charwidth(c.value));
    if (columns > columns_max - 1) break;
    end += c.size_bytes;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace boreal::monitor
