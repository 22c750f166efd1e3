// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). A draw is a pure function of (key, counter), so there is
// no generator state to lose and any layout of ranks draws the same numbers. The key says what the
// numbers are for; the counter says which element. Thread rule: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace boreal {

using Philox4 = std::array<std::uint32_t, 4>;

// The raw block function; known answers are in tests/base/philox_test.cc.
Philox4 philox4x32(Philox4 counter, std::array<std::uint32_t, 2> key);

// A stream for one purpose: key = hash(seed, purpose, name, step).
class Rng {
 public:
  Rng(std::uint64_t seed, std::string_view purpose, std::string_view name = {},
      std::uint64_t step = 0);

  const std::array<std::uint32_t, 2>& key() const { return key_; }

  // 64 random bits of element `index`.
  std::uint64_t bits(std::uint64_t index) const;
  // Uniform in [0, 1), 53 bits.
  double uniform(std::uint64_t index) const;
  // Standard normal (Box-Muller on the block of this element alone).
  double normal(std::uint64_t index) const;

 private:
  std::array<std::uint32_t, 2> key_;
};

// Bijection of [0, n) keyed by `key`: a generalised Feistel network on an a x b domain (a*b >= n)
// of six rounds, walked until the value falls below n. No table; O(1) a look-up. Requires index <
// n.
std::uint64_t permute(std::uint64_t index, std::uint64_t n, std::uint64_t key);

// A well-mixed 64-bit key out of numbers and text; stable for ever (it is part of the data order).
std::uint64_t mix(std::uint64_t a, std::uint64_t b);
std::uint64_t mix(std::uint64_t a, std::string_view text);

}  // namespace boreal
