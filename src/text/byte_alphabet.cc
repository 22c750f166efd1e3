#include "text/byte_alphabet.h"

#include <algorithm>
#include <numeric>

#include "text/unicode.h"

namespace boreal::text {

namespace {

constexpr std::uint32_t kCharacters = 0x100 + 68;

struct Alphabet {
  std::array<std::uint16_t, 256> character{};
  std::array<std::int16_t, kCharacters> byte{};  // -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.byte) byte = -1;
  std::uint16_t next = 0x100;
  for (std::uint16_t byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    const std::uint16_t character = itself ? byte : next++;
    alphabet.character[byte] = character;
    alphabet.byte[character] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) {
    const std::uint32_t c = kAlphabet.character[static_cast<std::uint8_t>(byte)];
    if (c < 0x80) {
      spelling += static_cast<char>(c);
    } else {  // all of the alphabet lies below U+0800
      spelling += static_cast<char>(0xc0U | c >> 6);
      spelling += static_cast<char>(0x80U | (c & 0x3fU));
    }
  }
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (std::size_t at = 0; at < spelling.size();) {
    const CodePoint c = code_point_at(spelling, at);
    if (c.value >= kCharacters || kAlphabet.byte[c.value] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c.value]);
    at += c.size_bytes;
  }
  return bytes;
}

const std::array<std::uint8_t, 256>& bytes_by_character() {
  static const std::array<std::uint8_t, 256> order = [] {
    std::array<std::uint8_t, 256> bytes{};
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    std::sort(bytes.begin(), bytes.end(), [](std::uint8_t a, std::uint8_t b) {
      return kAlphabet.character[a] < kAlphabet.character[b];
    });
    return bytes;
  }();
  return order;
}

}  // namespace boreal::text
