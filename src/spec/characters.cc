#include "spec/characters.h"

#include <algorithm>

namespace boreal::spec {

std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
  if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
  return length;
}

namespace {

// C0 and C1 controls and delete; the latter are two bytes long.
int control_code(std::string_view text, std::size_t length) {
  return static_cast<unsigned char>(text[length - 1]);
}

bool is_control(std::string_view text, std::size_t length) {
  const auto byte = static_cast<unsigned char>(text[0]);
  if (length == 1) return byte < 0x20 || byte == 0x7f;
  return length == 2 && byte == 0xc2 && control_code(text, length) < 0xa0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  std::size_t taken = 0;
  while (!text.empty() && taken < 60) {
    const std::size_t length = character_length(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length == 0 || is_control(text, length)) {
      const int code = length == 0 ? byte : control_code(text, length);
      out += code == '\n' ? "\\n" : code == '\t' ? "\\t" : fmt::format("\\x{:02x}", code);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
    taken += std::max<std::size_t>(length, 1);
  }
  return out + (text.empty() ? "\"" : "...\"");
}

Status check_characters(std::string_view text, std::string_view name) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    return wrong_usage("{}:1: the file is UTF-16; save it as UTF-8", name);
  int line = 1;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text.substr(at));
    const auto byte = static_cast<unsigned char>(text[at]);
    if (length == 0)
      return wrong_usage(
          "{}:{}: byte {} is 0x{:02x}, which is no valid UTF-8; save the file as UTF-8", name, line,
          at, byte);
    if (is_control(text.substr(at), length) && byte != '\n' && byte != '\r' && byte != '\t') {
      const int code = control_code(text.substr(at), length);
      return wrong_usage(
          "{}:{}: control character U+{:04X} at byte {}; write it as \"\\x{:02x}\" in double "
          "quotes",
          name, line, code, at, code);
    }
    if (byte == '\n') ++line;
    at += length;
  }
  return Done{};
}

}  // namespace boreal::spec
