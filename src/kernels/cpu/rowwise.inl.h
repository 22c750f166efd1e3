// Operations on the rows of activations: rotary positions, rows looked up and summed. Each reads
// and writes its operands once. A row's result depends on that row alone.
#pragma once

#include "kernels/cpu/rotate.inl.h"
#include "kernels/cpu/vec.inl.h"

namespace boreal::kernels::cpu::BOREAL_ISA {
namespace {

template <class T>
BOREAL_INLINE const T* in(const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
BOREAL_INLINE T* out(void* p) {
  return static_cast<T*>(p);
}

// ---- rotary positions (Su et al. 2021), halves paired as Llama does

template <class T>
void rope(void* x_, std::int64_t ld, const std::int32_t* position, const float* cos_sin,
          std::int64_t rows, std::int64_t heads, std::int64_t head_dim, std::int64_t dim,
          float sign) {
  const std::int64_t half = dim / 2;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* cos = cos_sin + static_cast<std::int64_t>(position[r]) * dim;
    const float* sin = cos + half;
    for (std::int64_t h = 0; h < heads; ++h) {
      T* first = out<T>(x_) + r * ld + h * head_dim;
      T* second = first + half;
      over_row(half, [&](std::int64_t c, auto n) BOREAL_BODY {
        Vf a = load_n(first + c, n);
        Vf b = load_n(second + c, n);
        rotate_pair(a, b, load_n(cos + c, n), load_n(sin + c, n) * sign);
        store_n(first + c, a, n);
        store_n(second + c, b, n);
      });
    }
  }
}

// ---- rows looked up and summed

template <class T>
void gather(const void* table, std::int64_t columns, std::int64_t first, std::int64_t count,
            const std::int32_t* id, std::int64_t rows, bool accumulate, void* y_) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t at = static_cast<std::int64_t>(id[r]) - first;
    T* y = out<T>(y_) + r * columns;
    if (at < 0 || at >= count) {
      if (!accumulate) __builtin_memset(y, 0, static_cast<std::size_t>(columns) * sizeof(T));
      continue;
    }
    const T* from = in<T>(table) + at * columns;
    over_row(columns, [&](std::int64_t c, auto n) BOREAL_BODY {
      const Vf v = load_n(from + c, n);
      store_n(y + c, accumulate ? load_n(y + c, n) + v : v, n);
    });
  }
}

template <class T>
void scatter(const void* dy, std::int64_t columns, const std::int32_t* id, std::int64_t rows,
             std::int64_t begin, std::int64_t end, std::int64_t first, std::int64_t count,
             float* grad) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t at = static_cast<std::int64_t>(id[r]) - first;
    if (at < 0 || at >= count) continue;
    const T* from = in<T>(dy) + r * columns + begin;
    float* to = grad + at * columns + begin;
    over_row(end - begin, [&](std::int64_t c, auto n) BOREAL_BODY {
      store_n(to + c, load_n(to + c, n) + load_n(from + c, n), n);
    });
  }
}

// Eight rows at a time, added in their order.
template <class T>
void column_sum(const void* x_, std::int64_t ld, std::int64_t rows, std::int64_t begin,
                std::int64_t end, float* sum) {
  constexpr std::int64_t kSummedAtOnce = 8;
  const T* x = in<T>(x_) + begin;
  std::int64_t r = 0;
  for (; r + kSummedAtOnce <= rows; r += kSummedAtOnce, x += kSummedAtOnce * ld)
    over_row(end - begin, [&](std::int64_t c, auto n) BOREAL_BODY {
      Vf s = load_n(sum + begin + c, n);
      for (std::int64_t i = 0; i < kSummedAtOnce; ++i) s = s + load_n(x + i * ld + c, n);
      store_n(sum + begin + c, s, n);
    });
  for (; r < rows; ++r, x += ld)
    over_row(end - begin, [&](std::int64_t c, auto n) BOREAL_BODY {
      store_n(sum + begin + c, load_n(sum + begin + c, n) + load_n(x + c, n), n);
    });
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
