#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace boreal {
namespace {

TEST(Half, EveryOneComesBackFromItsFloat) {
  for (std::uint32_t i = 0; i < 0x10000U; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = float_of_half(bits);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(float_of_half(half_bits(value)))) << i;
    else
      EXPECT_EQ(half_bits(value), bits) << value;
  }
}

TEST(Half, RoundsToNearestAndTiesToEven) {
  for (std::uint16_t bits = 0; bits < 0x7bffU; ++bits) {
    const float low = float_of_half(bits);
    const float high = float_of_half(static_cast<std::uint16_t>(bits + 1));
    const float middle = (low + high) / 2;  // exact
    EXPECT_EQ(half_bits(middle), bits % 2 == 0 ? bits : bits + 1) << middle;
    EXPECT_EQ(half_bits(std::nextafter(middle, low)), bits) << middle;
    EXPECT_EQ(half_bits(std::nextafter(middle, high)), bits + 1) << middle;
    EXPECT_EQ(half_bits(-low), bits | 0x8000U);
  }
}

TEST(Half, WhatIsTooLargeIsInfinite) {
  const std::uint16_t infinite = 0x7c00;
  EXPECT_EQ(half_bits(65519.0F), 0x7bff);
  EXPECT_EQ(half_bits(65520.0F), infinite);
  EXPECT_EQ(half_bits(1e30F), infinite);
  EXPECT_EQ(half_bits(std::numeric_limits<float>::infinity()), infinite);
  EXPECT_EQ(half_bits(1e-30F), 0);
}

}  // namespace
}  // namespace boreal
