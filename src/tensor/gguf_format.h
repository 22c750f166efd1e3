// What the reader and the writer of GGUF share. Thread rule: constants and a pure function.
#pragma once

#include <cstdint>
#include <string_view>

namespace boreal::tensor::gguf {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr std::uint32_t kVersion = 3;
inline constexpr std::int64_t kAlignment = 32;  // of tensors, where no fact says otherwise

// Types of values, as the format numbers them.
enum Kind : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

constexpr std::int64_t aligned(std::int64_t at, std::int64_t alignment) {
  return (at + alignment - 1) / alignment * alignment;
}

}  // namespace boreal::tensor::gguf
