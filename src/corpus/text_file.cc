#include "corpus/text_file.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

namespace boreal::corpus {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 16;

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

// In either case; `ending` is in lower case.
bool ends_with(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() &&
         lower_case(text.substr(text.size() - ending.size())) == ending;
}

struct InflateEnd {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};
struct ZstdFree {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

std::string_view strip_compression(std::string_view path) {
  if (ends_with(path, ".gz")) return path.substr(0, path.size() - 3);
  if (ends_with(path, ".zst")) return path.substr(0, path.size() - 4);
  return path;
}

// Length of the well-formed sequence at `at`, 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    const unsigned high = first == 0xED ? 0x9F : 0xBF;  // no surrogates
    return byte(1) >= low && byte(1) <= high && tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;  // not above U+10FFFF
    return byte(1) >= low && byte(1) <= high && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

Result<std::string> decompress_gzip(std::string_view bytes, const std::string& name) {
  z_stream stream{};
  // 16: a gzip header is required.
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return failed("{}: zlib has no memory", name);
  const std::unique_ptr<z_stream, InflateEnd> guard(&stream);
  std::string text;
  std::array<char, kPieceBytes> piece{};
  std::size_t taken = 0;
  bool between_members = false;
  while (true) {
    if (stream.avail_in == 0) {
      const std::size_t part = std::min<std::size_t>(bytes.size() - taken, kPieceBytes);
      // zlib's input pointer is not const in its C interface; it does not write through it.
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + taken));
      stream.avail_in = static_cast<uInt>(part);
      taken += part;
    }
    if (stream.avail_in == 0 && between_members) return text;
    if (between_members && inflateReset(&stream) != Z_OK) return failed("{}: zlib failed", name);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    const int code = inflate(&stream, Z_NO_FLUSH);
    const std::size_t at = taken - stream.avail_in;
    text.append(piece.data(), piece.size() - stream.avail_out);
    between_members = code == Z_STREAM_END;
    if (code == Z_OK || code == Z_STREAM_END) continue;
    if (code == Z_BUF_ERROR) {
      return refused(
          "{}: the compressed data end at byte {} in the middle of a member: was the copy cut "
          "short?",
          name, bytes.size());
    }
    return refused("{}: damaged near byte {} of {} ({}): is it a gzip file, whole?", name, at,
                   bytes.size(), stream.msg == nullptr ? "zlib gives no reason" : stream.msg);
  }
}

Result<std::string> decompress_zstd(std::string_view bytes, const std::string& name) {
  const std::unique_ptr<ZSTD_DStream, ZstdFree> stream(ZSTD_createDStream());
  if (stream == nullptr) return failed("{}: zstd has no memory", name);
  std::string text;
  std::array<char, kPieceBytes> piece{};
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::size_t hint = bytes.empty() ? 1 : 0;
  bool flushing = false;
  while (in.pos < in.size || flushing) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    hint = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(hint) != 0) {
      return refused("{}: damaged near byte {} of {} ({}): is it a zstd file, whole?", name, in.pos,
                     bytes.size(), ZSTD_getErrorName(hint));
    }
    text.append(piece.data(), out.pos);
    // A full output buffer may hide more of the frame even when all input is taken.
    flushing = out.pos == out.size && hint != 0;
  }
  if (hint != 0) {
    return refused(
        "{}: the compressed data end at byte {} in the middle of a frame: was the copy cut short?",
        name, bytes.size());
  }
  return text;
}

Result<std::string> read_text_file(Env& env, const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, env.read_file(path));
  if (ends_with(path, ".gz")) {
    ASSIGN_OR_RETURN(text, decompress_gzip(text, path));
  } else if (ends_with(path, ".zst")) {
    ASSIGN_OR_RETURN(text, decompress_zstd(text, path));
  }
  if (const auto at = find_invalid_utf8(text)) {
    return refused(
        "{}: byte {} (0x{:02x}) is not UTF-8: is the file in another encoding, or compressed under "
        "another name?",
        path, *at, static_cast<unsigned char>(text[*at]));
  }
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

std::string data_suffix(std::string_view path) {
  const std::string name = file_name(strip_compression(path));
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? "" : lower_case(name.substr(dot));
}

std::string data_stem(std::string_view path) {
  const std::string name = file_name(strip_compression(path));
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

}  // namespace boreal::corpus
