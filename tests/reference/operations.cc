#include "tests/reference/operations.h"

#include <cmath>
#include <numbers>

namespace boreal::reference {

namespace {

double mean_of_squares(const Matrix& x, std::int64_t r) {
  double sum = 0;
  for (std::int64_t c = 0; c < x.columns; ++c) sum += x(r, c) * x(r, c);
  return sum / static_cast<double>(x.columns);
}

double mean_of(const Matrix& x, std::int64_t r) {
  double sum = 0;
  for (std::int64_t c = 0; c < x.columns; ++c) sum += x(r, c);
  return sum / static_cast<double>(x.columns);
}

double variance_of(const Matrix& x, std::int64_t r) {
  const double mean = mean_of(x, r);
  double sum = 0;
  for (std::int64_t c = 0; c < x.columns; ++c) sum += (x(r, c) - mean) * (x(r, c) - mean);
  return sum / static_cast<double>(x.columns);
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace

Matrix rms_norm(const Matrix& x, const Matrix& w, double eps) {
  Matrix y(x.rows, x.columns);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const double s = 1 / std::sqrt(mean_of_squares(x, r) + eps);
    for (std::int64_t c = 0; c < x.columns; ++c) y(r, c) = x(r, c) * s * w(0, c);
  }
  return y;
}

// With g = dy w: dx = s g - s^3 x mean(g x), because ds/dx[c] = -s^3 x[c] / n.
NormGradients rms_norm_backward(const Matrix& dy, const Matrix& x, const Matrix& w, double eps) {
  NormGradients d{Matrix(x.rows, x.columns), Matrix(1, x.columns), Matrix()};
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const double s = 1 / std::sqrt(mean_of_squares(x, r) + eps);
    double mean_gx = 0;
    for (std::int64_t c = 0; c < x.columns; ++c)
      mean_gx += dy(r, c) * w(0, c) * x(r, c) / static_cast<double>(x.columns);
    for (std::int64_t c = 0; c < x.columns; ++c) {
      d.dx(r, c) = s * dy(r, c) * w(0, c) - s * s * s * x(r, c) * mean_gx;
      d.dw(0, c) += dy(r, c) * x(r, c) * s;
    }
  }
  return d;
}

Matrix layer_norm(const Matrix& x, const Matrix& w, const Matrix& b, double eps) {
  Matrix y(x.rows, x.columns);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const double mean = mean_of(x, r);
    const double s = 1 / std::sqrt(variance_of(x, r) + eps);
    for (std::int64_t c = 0; c < x.columns; ++c) y(r, c) = (x(r, c) - mean) * s * w(0, c) + b(0, c);
  }
  return y;
}

// With g = dy w and h = (x - mean) s: dx = s (g - mean(g) - h mean(g h)).
NormGradients layer_norm_backward(const Matrix& dy, const Matrix& x, const Matrix& w, double eps) {
  NormGradients d{Matrix(x.rows, x.columns), Matrix(1, x.columns), Matrix(1, x.columns)};
  const auto n = static_cast<double>(x.columns);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const double mean = mean_of(x, r);
    const double s = 1 / std::sqrt(variance_of(x, r) + eps);
    double mean_g = 0;
    double mean_gh = 0;
    for (std::int64_t c = 0; c < x.columns; ++c) {
      mean_g += dy(r, c) * w(0, c) / n;
      mean_gh += dy(r, c) * w(0, c) * (x(r, c) - mean) * s / n;
    }
    for (std::int64_t c = 0; c < x.columns; ++c) {
      const double h = (x(r, c) - mean) * s;
      d.dx(r, c) = s * (dy(r, c) * w(0, c) - mean_g - h * mean_gh);
      d.dw(0, c) += dy(r, c) * h;
      d.db(0, c) += dy(r, c);
    }
  }
  return d;
}

Matrix rotary(const Matrix& x, const std::vector<std::int64_t>& position, std::int64_t heads,
              double theta, double direction) {
  const std::int64_t dim = x.columns / heads;
  std::vector<double> frequency;
  for (std::int64_t i = 0; i < dim / 2; ++i)
    frequency.push_back(std::pow(theta, -2 * static_cast<double>(i) / static_cast<double>(dim)));
  return rotary(x, position, heads, frequency, direction);
}

Matrix rotary(const Matrix& x, const std::vector<std::int64_t>& position, std::int64_t heads,
              const std::vector<double>& frequency, double direction) {
  Matrix y = x;
  const std::int64_t dim = x.columns / heads;
  const auto half = static_cast<std::int64_t>(frequency.size());
  for (std::int64_t r = 0; r < x.rows; ++r)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t i = 0; i < half; ++i) {
        const double t = direction * static_cast<double>(position[static_cast<std::size_t>(r)]) *
                         frequency[static_cast<std::size_t>(i)];
        const double a = x(r, h * dim + i);
        const double b = x(r, h * dim + i + half);
        y(r, h * dim + i) = a * std::cos(t) - b * std::sin(t);
        y(r, h * dim + i + half) = b * std::cos(t) + a * std::sin(t);
      }
  return y;
}

Matrix swiglu(const Matrix& gate_up) {
  const std::int64_t ffn = gate_up.columns / 2;
  Matrix y(gate_up.rows, ffn);
  for (std::int64_t r = 0; r < y.rows; ++r)
    for (std::int64_t c = 0; c < ffn; ++c)
      y(r, c) = gate_up(r, c) * sigmoid(gate_up(r, c)) * gate_up(r, ffn + c);
  return y;
}

Matrix swiglu_backward(const Matrix& dy, const Matrix& gate_up) {
  const std::int64_t ffn = dy.columns;
  Matrix d(gate_up.rows, gate_up.columns);
  for (std::int64_t r = 0; r < dy.rows; ++r)
    for (std::int64_t c = 0; c < ffn; ++c) {
      const double gate = gate_up(r, c);
      const double s = sigmoid(gate);
      d(r, c) = dy(r, c) * gate_up(r, ffn + c) * (s + gate * s * (1 - s));
      d(r, ffn + c) = dy(r, c) * gate * s;
    }
  return d;
}

Matrix gelu(const Matrix& x) {
  Matrix y = x;
  const double a = std::sqrt(2 / std::numbers::pi);
  for (double& v : y.values) v = v * (1 + std::tanh(a * (v + 0.044715 * v * v * v))) / 2;
  return y;
}

Matrix gelu_backward(const Matrix& dy, const Matrix& x) {
  Matrix dx = dy;
  const double a = std::sqrt(2 / std::numbers::pi);
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const double v = x.values[i];
    const double t = std::tanh(a * (v + 0.044715 * v * v * v));
    dx.values[i] *= (1 + t) / 2 + v * (1 - t * t) * a * (1 + 3 * 0.044715 * v * v) / 2;
  }
  return dx;
}

Matrix gelu_erf(const Matrix& x) {
  Matrix y = x;
  for (double& v : y.values) v *= std::erfc(-v / std::numbers::sqrt2) / 2;
  return y;
}

// The slope of the share below v is the density e^(-v^2 / 2) / sqrt(2 pi).
Matrix gelu_erf_backward(const Matrix& dy, const Matrix& x) {
  Matrix dx = dy;
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const double v = x.values[i];
    dx.values[i] *= std::erfc(-v / std::numbers::sqrt2) / 2 +
                    v * std::exp(-v * v / 2) / std::sqrt(2 * std::numbers::pi);
  }
  return dx;
}

Matrix geglu(const Matrix& gate_up) {
  const std::int64_t ffn = gate_up.columns / 2;
  Matrix y = gelu(columns_of(gate_up, 0, ffn));
  for (std::int64_t r = 0; r < y.rows; ++r)
    for (std::int64_t c = 0; c < ffn; ++c) y(r, c) *= gate_up(r, ffn + c);
  return y;
}

Matrix geglu_backward(const Matrix& dy, const Matrix& gate_up) {
  const std::int64_t ffn = dy.columns;
  const Matrix gate = columns_of(gate_up, 0, ffn);
  Matrix d_value = dy;  // of gelu(gate)
  Matrix d_up = gelu(gate);
  for (std::int64_t r = 0; r < dy.rows; ++r)
    for (std::int64_t c = 0; c < ffn; ++c) {
      d_value(r, c) *= gate_up(r, ffn + c);
      d_up(r, c) *= dy(r, c);
    }
  return beside(gelu_backward(d_value, gate), d_up);
}

Matrix soft_cap(const Matrix& x, double cap) {
  Matrix y = x;
  for (double& v : y.values) v = cap * std::tanh(v / cap);
  return y;
}

Matrix soft_cap_backward(const Matrix& dy, const Matrix& x, double cap) {
  Matrix dx = dy;
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const double t = std::tanh(x.values[i] / cap);
    dx.values[i] *= 1 - t * t;
  }
  return dx;
}

Matrix gather(const Matrix& table, const std::vector<std::int64_t>& id) {
  Matrix y(static_cast<std::int64_t>(id.size()), table.columns);
  for (std::int64_t r = 0; r < y.rows; ++r)
    for (std::int64_t c = 0; c < y.columns; ++c)
      y(r, c) = table(id[static_cast<std::size_t>(r)], c);
  return y;
}

Matrix scatter(const Matrix& dy, const std::vector<std::int64_t>& id, std::int64_t table_rows) {
  Matrix d(table_rows, dy.columns);
  for (std::int64_t r = 0; r < dy.rows; ++r)
    for (std::int64_t c = 0; c < dy.columns; ++c) d(id[static_cast<std::size_t>(r)], c) += dy(r, c);
  return d;
}

CrossEntropy cross_entropy(const Matrix& logits, const std::vector<std::int64_t>& target,
                           const std::vector<double>& seed, const LossTerms& terms) {
  CrossEntropy out{Matrix(1, logits.rows), Matrix(1, logits.rows), Matrix(1, logits.rows),
                   Matrix(logits.rows, logits.columns)};
  const double cap = terms.soft_cap;
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    const auto x = [&](std::int64_t c) {
      return cap > 0 ? cap * std::tanh(logits(r, c) / cap) : logits(r, c);
    };
    double max = x(0);
    for (std::int64_t c = 0; c < logits.columns; ++c) max = std::max(max, x(c));
    double sum = 0;
    for (std::int64_t c = 0; c < logits.columns; ++c) sum += std::exp(x(c) - max);
    const std::int64_t t = target[static_cast<std::size_t>(r)];
    const double lse = max + std::log(sum);
    out.lse(0, r) = lse;
    out.loss(0, r) = lse - x(t);
    for (std::int64_t c = 0; c < logits.columns; ++c) {
      const double p = std::exp(x(c) - lse);
      if (p > 0) out.entropy(0, r) -= p * (x(c) - lse);
      const double slope = cap > 0 ? 1 - x(c) / cap * (x(c) / cap) : 1;
      out.dlogits(r, c) = (p - (c == t ? 1 : 0) + terms.z_loss * 2 * lse * p) * slope *
                          seed[static_cast<std::size_t>(r)];
    }
  }
  return out;
}

void adamw(Matrix& w, const Matrix& g, Matrix& m, Matrix& v, const AdamW& o) {
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    const double grad = g.values[i] * o.grad_scale;
    m.values[i] = o.beta1 * m.values[i] + (1 - o.beta1) * grad;
    v.values[i] = o.beta2 * v.values[i] + (1 - o.beta2) * grad * grad;
    const double m_hat = m.values[i] / (1 - std::pow(o.beta1, o.step));
    const double v_hat = v.values[i] / (1 - std::pow(o.beta2, o.step));
    w.values[i] -= o.lr * o.weight_decay * w.values[i] + o.lr * m_hat / (std::sqrt(v_hat) + o.eps);
  }
}

}  // namespace boreal::reference
