#include "base/philox.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace boreal {

Philox4 philox4x32(Philox4 counter, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMul0 = 0xD2511F53U;
  constexpr std::uint64_t kMul1 = 0xCD9E8D57U;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = kMul0 * counter[0];
    const std::uint64_t p1 = kMul1 * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  // The finaliser of splitmix64 over a sum that keeps (a, b) and (b, a) apart.
  std::uint64_t z = a * 0x9E3779B97F4A7C15ULL + b + 0x632BE59BD9B4E019ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::uint64_t mix(std::uint64_t a, std::string_view text) {
  std::uint64_t h = mix(a, text.size());
  for (const char c : text) h = mix(h, static_cast<unsigned char>(c));
  return h;
}

Rng::Rng(std::uint64_t seed, std::string_view purpose, std::string_view name, std::uint64_t step) {
  const std::uint64_t key = mix(mix(mix(mix(0, seed), purpose), name), step);
  key_ = {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
}

std::uint64_t Rng::bits(std::uint64_t index) const {
  const Philox4 r = philox4x32(
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0}, key_);
  return (static_cast<std::uint64_t>(r[1]) << 32) | r[0];
}

double Rng::uniform(std::uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1.0p-53;
}

double Rng::normal(std::uint64_t index) const {
  const Philox4 r = philox4x32(
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0}, key_);
  // (0, 1]: the logarithm never meets zero.
  const double u =
      (static_cast<double>((static_cast<std::uint64_t>(r[1]) << 21) ^ (r[0] >> 11)) + 1.0) *
      0x1.0p-53;
  const double v =
      static_cast<double>((static_cast<std::uint64_t>(r[3]) << 21) ^ (r[2] >> 11)) * 0x1.0p-53;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

std::uint64_t permute(std::uint64_t index, std::uint64_t n, std::uint64_t key) {
  CHECK_LT(index, n);
  auto a = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n)));
  while (a * a < n) ++a;
  const std::uint64_t b = (n + a - 1) / a;
  do {
    std::uint64_t left = index % a;
    std::uint64_t right = index / a;
    for (std::uint64_t round = 0; round < 6; round += 2) {
      left = (left + mix(key + round, right) % a) % a;
      right = (right + mix(key + round + 1, left) % b) % b;
    }
    index = right * a + left;
  } while (index >= n);
  return index;
}

}  // namespace boreal
