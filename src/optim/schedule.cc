#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace boreal::optim {

double learning_rate(const spec::OptimSpec& spec, std::int64_t step, std::int64_t steps) {
  if (step < spec.warmup_steps)
    return spec.lr * static_cast<double>(step + 1) / static_cast<double>(spec.warmup_steps);
  const double low = spec.lr * spec.lr_min;
  if (spec.schedule == "cosine") {
    const auto span = static_cast<double>(std::max<std::int64_t>(1, steps - spec.warmup_steps));
    const double at = std::min(1.0, static_cast<double>(step - spec.warmup_steps) / span);
    return low + (spec.lr - low) * 0.5 * (1 + std::cos(std::numbers::pi * at));
  }
  if (spec.schedule == "wsd") {
    const double span = std::max(1.0, spec.decay * static_cast<double>(steps));
    const double left = static_cast<double>(steps - step);
    if (left < span) return low + (spec.lr - low) * left / span;
  }
  return spec.lr;
}

double clip_factor(double norm, double clip) {
  return clip > 0 && norm > clip ? clip / norm : 1.0;
}

}  // namespace boreal::optim
