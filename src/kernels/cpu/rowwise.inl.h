// Operations on the rows of activations: norms, rotary positions, gated and plain activations,
// embedding, loss. Each reads and writes its operands once. A row's result depends on that row
// alone.
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

// ---- RMSNorm (Zhang & Sennrich 2019)

template <class T>
void rms_forward(const void* x_, const float* w, void* y_, float* rstd, std::int64_t rows,
                 std::int64_t columns, float eps) {
  const T* x = in<T>(x_);
  T* y = out<T>(y_);
  for (std::int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    Vf lanes{};
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      const Vf v = load_n(x + c, n);
      lanes = fma(v, v, lanes);
    });
    const float scale =
        1.0F / __builtin_sqrtf(sum_lanes(lanes) / static_cast<float>(columns) + eps);
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      store_n(y + c, load_n(x + c, n) * scale * load_n(w + c, n), n);
    });
    if (rstd != nullptr) rstd[r] = scale;
  }
}

template <class T>
void rms_backward(const void* dy_, const void* x_, const float* w, const float* rstd,
                  const void* dres_, void* dx_, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* dy = in<T>(dy_) + r * columns;
    const T* x = in<T>(x_) + r * columns;
    const T* dres = dres_ == nullptr ? nullptr : in<T>(dres_) + r * columns;
    T* dx = out<T>(dx_) + r * columns;
    Vf lanes{};
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      lanes = fma(load_n(dy + c, n) * load_n(w + c, n), load_n(x + c, n), lanes);
    });
    const float s = rstd[r];
    const float mean = sum_lanes(lanes) * s * s / static_cast<float>(columns);
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      Vf g = (load_n(dy + c, n) * load_n(w + c, n) - load_n(x + c, n) * mean) * s;
      if (dres != nullptr) g = g + load_n(dres + c, n);
      store_n(dx + c, g, n);
    });
  }
}

template <class T>
void rms_weight(const void* dy, const void* x, const float* rstd, float* dw, std::int64_t rows,
                std::int64_t columns, std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* dy_row = in<T>(dy) + r * columns + begin;
    const T* x_row = in<T>(x) + r * columns + begin;
    over_row(end - begin, [&](std::int64_t c, std::int64_t n) {
      store_n(dw + begin + c,
              fma(load_n(dy_row + c, n) * rstd[r], load_n(x_row + c, n), load_n(dw + begin + c, n)),
              n);
    });
  }
}

// ---- LayerNorm (Ba, Kiros, Hinton 2016)

template <class T>
void layer_forward(const void* x_, const float* w, const float* b, void* y_, float* mean,
                   float* rstd, std::int64_t rows, std::int64_t columns, float eps) {
  const T* x = in<T>(x_);
  T* y = out<T>(y_);
  const auto count = static_cast<float>(columns);
  for (std::int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    Vf lanes{};
    over_row(columns, [&](std::int64_t c, std::int64_t n) { lanes = lanes + load_n(x + c, n); });
    const float mu = sum_lanes(lanes) / count;
    Vf squares{};
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      Vf v = load_n(x + c, n) - mu;
      if (n < kWidth)
        for (std::int64_t i = n; i < kWidth; ++i) v[i] = 0;
      squares = fma(v, v, squares);
    });
    const float scale = 1.0F / __builtin_sqrtf(sum_lanes(squares) / count + eps);
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      store_n(y + c, fma((load_n(x + c, n) - mu) * scale, load_n(w + c, n), load_n(b + c, n)), n);
    });
    if (mean != nullptr) mean[r] = mu;
    if (rstd != nullptr) rstd[r] = scale;
  }
}

template <class T>
void layer_backward(const void* dy_, const void* x_, const float* w, const float* mean,
                    const float* rstd, const void* dres_, void* dx_, std::int64_t rows,
                    std::int64_t columns) {
  const auto count = static_cast<float>(columns);
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* dy = in<T>(dy_) + r * columns;
    const T* x = in<T>(x_) + r * columns;
    const T* dres = dres_ == nullptr ? nullptr : in<T>(dres_) + r * columns;
    T* dx = out<T>(dx_) + r * columns;
    Vf sum_g{};
    Vf sum_gx{};
    const float mu = mean[r];
    const float s = rstd[r];
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      const Vf g = load_n(dy + c, n) *
                   load_n(w + c, n);  // zero past the end, so x - mu there does not count
      sum_g = sum_g + g;
      sum_gx = fma(g, (load_n(x + c, n) - mu) * s, sum_gx);
    });
    const float mean_g = sum_lanes(sum_g) / count;
    const float mean_gx = sum_lanes(sum_gx) / count;
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
      const Vf hat = (load_n(x + c, n) - mu) * s;
      Vf g = (load_n(dy + c, n) * load_n(w + c, n) - mean_g - hat * mean_gx) * s;
      if (dres != nullptr) g = g + load_n(dres + c, n);
      store_n(dx + c, g, n);
    });
  }
}

template <class T>
void layer_weight(const void* dy, const void* x, const float* mean, const float* rstd, float* dw,
                  float* db, std::int64_t rows, std::int64_t columns, std::int64_t begin,
                  std::int64_t end) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* dy_row = in<T>(dy) + r * columns + begin;
    const T* x_row = in<T>(x) + r * columns + begin;
    over_row(end - begin, [&](std::int64_t c, std::int64_t n) {
      const Vf g = load_n(dy_row + c, n);
      store_n(dw + begin + c,
              fma(g, (load_n(x_row + c, n) - mean[r]) * rstd[r], load_n(dw + begin + c, n)), n);
      store_n(db + begin + c, load_n(db + begin + c, n) + g, n);
    });
  }
}

// ---- rotary positions (Su et al. 2021), halves paired as Llama does

template <class T>
void rope(void* x_, std::int64_t ld, const std::int32_t* position, const float* cos_sin,
          std::int64_t rows, std::int64_t heads, std::int64_t dim, float sign) {
  const std::int64_t half = dim / 2;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* cos = cos_sin + static_cast<std::int64_t>(position[r]) * dim;
    const float* sin = cos + half;
    for (std::int64_t h = 0; h < heads; ++h) {
      T* first = out<T>(x_) + r * ld + h * dim;
      T* second = first + half;
      over_row(half, [&](std::int64_t c, std::int64_t n) {
        Vf a = load_n(first + c, n);
        Vf b = load_n(second + c, n);
        rotate_pair(a, b, load_n(cos + c, n), load_n(sin + c, n) * sign);
        store_n(first + c, a, n);
        store_n(second + c, b, n);
      });
    }
  }
}

// ---- activations

template <class T>
void swiglu(const void* gate_up, void* y, std::int64_t rows, std::int64_t ffn) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* gate = in<T>(gate_up) + r * 2 * ffn;
    const T* up = gate + ffn;
    T* to = out<T>(y) + r * ffn;
    over_row(ffn, [&](std::int64_t c, std::int64_t n) {
      const Vf g = load_n(gate + c, n);
      store_n(to + c, g * sigmoid(g) * load_n(up + c, n), n);
    });
  }
}

template <class T>
void swiglu_backward(const void* dy_, const void* gate_up, void* d_gate_up, std::int64_t rows,
                     std::int64_t ffn) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* gate = in<T>(gate_up) + r * 2 * ffn;
    const T* up = gate + ffn;
    const T* dy = in<T>(dy_) + r * ffn;
    T* d_gate = out<T>(d_gate_up) + r * 2 * ffn;
    T* d_up = d_gate + ffn;
    over_row(ffn, [&](std::int64_t c, std::int64_t n) {
      const Vf g = load_n(gate + c, n);
      const Vf d = load_n(dy + c, n);
      const Vf s = sigmoid(g);
      store_n(d_gate + c, d * load_n(up + c, n) * s * (1.0F + g * (1.0F - s)), n);
      store_n(d_up + c, d * g * s, n);
    });
  }
}

// GELU by tanh, as GPT-2 (Hendrycks & Gimpel 2016).
constexpr float kGeluA = 0.7978845608028654F;  // sqrt(2 / pi)
constexpr float kGeluB = 0.044715F;

template <class T>
void gelu(const void* x_, void* y, std::int64_t count) {
  over_row(count, [&](std::int64_t c, std::int64_t n) {
    const Vf x = load_n(in<T>(x_) + c, n);
    store_n(out<T>(y) + c, 0.5F * x * (1.0F + tanh(kGeluA * (x + kGeluB * x * x * x))), n);
  });
}

template <class T>
void gelu_backward(const void* dy, const void* x_, void* dx, std::int64_t count) {
  over_row(count, [&](std::int64_t c, std::int64_t n) {
    const Vf x = load_n(in<T>(x_) + c, n);
    const Vf t = tanh(kGeluA * (x + kGeluB * x * x * x));
    const Vf slope =
        0.5F * (1.0F + t) + 0.5F * x * (1.0F - t * t) * kGeluA * (1.0F + 3.0F * kGeluB * x * x);
    store_n(out<T>(dx) + c, load_n(in<T>(dy) + c, n) * slope, n);
  });
}

// ---- embedding and loss

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
    over_row(columns, [&](std::int64_t c, std::int64_t n) {
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
    over_row(end - begin, [&](std::int64_t c, std::int64_t n) {
      store_n(to + c, load_n(to + c, n) + load_n(from + c, n), n);
    });
  }
}

void softmax_sums(const float* logits, std::int64_t columns, float* max_out, float* sum_out) {
  Vf best = splat(-__builtin_huge_valf());
  over_row(columns, [&](std::int64_t c, std::int64_t n) {
    Vf v = load_n(logits + c, n);
    if (n < kWidth)
      for (std::int64_t i = n; i < kWidth; ++i) v[i] = logits[c];
    best = vmax(v, best);
  });
  const float max = max_lanes(best);
  Vf lanes{};
  over_row(columns, [&](std::int64_t c, std::int64_t n) {
    Vf e = exp(load_n(logits + c, n) - max);
    if (n < kWidth)
      for (std::int64_t i = n; i < kWidth; ++i) e[i] = 0;
    lanes = lanes + e;
  });
  *max_out = max;
  *sum_out = sum_lanes(lanes);
}

template <class T>
void softmax_gradient(const float* logits, std::int64_t columns, std::int64_t target, float seed,
                      float lse, void* dlogits) {
  T* d = out<T>(dlogits);
  over_row(columns, [&](std::int64_t c, std::int64_t n) {
    store_n(d + c, exp(load_n(logits + c, n) - lse) * seed, n);
  });
  if (target < 0 || target >= columns) return;
  store1(d + target, (exp(splat(logits[target] - lse))[0] - 1.0F) * seed);
}

template <class T>
void column_sum(const void* x, std::int64_t ld, std::int64_t rows, std::int64_t begin,
                std::int64_t end, float* sum) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * ld + begin;
    over_row(end - begin, [&](std::int64_t c, std::int64_t n) {
      store_n(sum + begin + c, load_n(sum + begin + c, n) + load_n(row + c, n), n);
    });
  }
}

}  // namespace
}  // namespace boreal::kernels::cpu::BOREAL_ISA
