// Learning-rate curves and clipping: pure functions of the step. They know no rank and no tensor.
#pragma once

#include <cstdint>

#include "spec/run_spec.h"

namespace boreal::optim {

// Learning rate of step `step` (0-based) of `steps`. Warm-up rises linearly and reaches lr at step
// warmup_steps - 1. constant: lr. cosine: half a cosine down to lr * lr_min. wsd: lr, then linear
// down to lr * lr_min over the last `decay` share of the steps ("warm-up, stable, decay", Hu et al.
// 2024).
double learning_rate(const spec::OptimSpec& spec, std::int64_t step, std::int64_t steps);

// Factor that brings a gradient of this norm down to `clip`; 1 if it is below or clip is 0.
double clip_factor(double norm, double clip);

}  // namespace boreal::optim
