// Element types and the scalar conversions between them.
// bf16 rounds to nearest, ties to even; NaN stays NaN. Thread rule: pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace boreal {

enum class DType : std::uint8_t { f32, bf16, f64, i32, i64, u8, u16 };

constexpr std::size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::u16: return 2;
    case DType::u8: return 1;
  }
  return 0;
}

// "fp32", "bf16", ...: the spelling of specs and of the design.
std::string_view name_of(DType dtype);

// Bits of a bfloat16. Arithmetic is done in float.
struct bf16_t {
  std::uint16_t bits = 0;
};

inline float to_float(bf16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

inline bf16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {  // NaN: keep it quiet, do not round it into infinity
    return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  }
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

// IEEE binary16 by its bits: to binary32 exactly, and back rounded to nearest even; too large is
// infinite, NaN stays NaN.
float float_of_half(std::uint16_t bits);
std::uint16_t half_bits(float value);

}  // namespace boreal
