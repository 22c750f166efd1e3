#include "dist/reduce_loops.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace boreal::dist {

namespace {

// Accumulators of a block stay in the first cache.
constexpr std::int64_t kBlock = 1024;
using Accumulators = std::array<float, kBlock>;

float read(const float* from, std::int64_t i) {
  return from[i];
}
float read(const bf16_t* from, std::int64_t i) {
  return to_float(from[i]);
}
void write(float value, float& to) {
  to = value;
}
void write(float value, bf16_t& to) {
  to = to_bf16(value);
}

float larger(float a, float b) {
  return (b > a || b != b) ? b : a;
}

template <class T>
void combine_typed(Reduce reduce, std::span<const std::byte* const> chunks, std::int64_t n,
                   std::byte* out_bytes) {
  T* out = static_cast<T*>(static_cast<void*>(out_bytes));
  const auto input = [&](std::size_t rank) {
    return static_cast<const T*>(static_cast<const void*>(chunks[rank]));
  };
  Accumulators sums;
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const std::int64_t count = std::min(kBlock, n - begin);
    float* acc = sums.data();
    const T* first = input(0) + begin;
    for (std::int64_t i = 0; i < count; ++i) acc[i] = read(first, i);
    for (std::size_t r = 1; r < chunks.size(); ++r) {
      const T* from = input(r) + begin;
      if (reduce == Reduce::sum)
        for (std::int64_t i = 0; i < count; ++i) acc[i] += read(from, i);
      else
        for (std::int64_t i = 0; i < count; ++i) acc[i] = larger(acc[i], read(from, i));
    }
    for (std::int64_t i = 0; i < count; ++i) write(acc[i], out[begin + i]);
  }
}

}  // namespace

void combine_chunks(DType dtype, Reduce reduce, std::span<const std::byte* const> chunks,
                    std::int64_t n, std::byte* out) {
  if (dtype == DType::f32) return combine_typed<float>(reduce, chunks, n, out);
  CHECK(dtype == DType::bf16, "sums are fp32 or bf16, not {}", name_of(dtype));
  combine_typed<bf16_t>(reduce, chunks, n, out);
}

}  // namespace boreal::dist
