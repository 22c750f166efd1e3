// Content hashes. xxh3: fast, for damage (a flipped byte, a cut copy). sha256: for identity that
// others verify. Thread rule: pure functions; Xxh3 is one thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace boreal {

std::uint64_t xxh3_64(std::span<const std::byte> bytes);
std::uint64_t xxh3_64(std::string_view bytes);
// 32 hex digits of the 128-bit XXH3.
std::string xxh3_128_hex(std::span<const std::byte> bytes);
std::string xxh3_128_hex(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);

// XXH3-128 of a stream; equals xxh3_128_hex of the concatenation.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(const Xxh3&) = delete;
  Xxh3& operator=(const Xxh3&) = delete;
  void add(std::span<const std::byte> bytes);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace boreal
