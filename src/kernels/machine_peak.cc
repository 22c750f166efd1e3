#include "kernels/machine_peak.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "base/clock.h"
#include "kernels/cpu/dispatch.h"
#include "tensor/memory.h"

namespace boreal::kernels {

namespace {

double best_rate(const device::Context& ctx, double seconds,
                 const std::function<double(std::int64_t part)>& work) {
  const Clock& clock = Clock::real();
  const double end_s = clock.now_s() + seconds;
  double best = 0;
  do {
    std::vector<double> done(static_cast<std::size_t>(ctx.threads));
    const double start_s = clock.now_s();
    ctx.pool->run([&](std::int64_t part) { done[static_cast<std::size_t>(part)] = work(part); });
    best =
        std::max(best, std::accumulate(done.begin(), done.end(), 0.0) / (clock.now_s() - start_s));
  } while (clock.now_s() < end_s);
  return best;
}

}  // namespace

MachinePeak measure_flops(const device::Context& ctx, double seconds) {
  const cpu::CpuTable& table = cpu::table(ctx);
  constexpr std::int64_t kIterations = 400000;  // some milliseconds
  return {.f32_flops = best_rate(ctx, seconds / 2,
                                 [&](std::int64_t) { return table.peak_f32(kIterations); }),
          .bf16_flops = best_rate(ctx, seconds / 2,
                                  [&](std::int64_t) { return table.peak_bf16(kIterations); })};
}

double measure_read_bandwidth(const device::Context& ctx, std::int64_t bytes, double seconds) {
  const cpu::CpuTable& table = cpu::table(ctx);
  const tensor::Block block(bytes);
  const std::int64_t each = bytes / ctx.threads / 4;
  std::fill_n(reinterpret_cast<float*>(block.data()), each * ctx.threads, 1.0F);
  return best_rate(ctx, seconds, [&](std::int64_t part) {
    const double sum =
        table.sum_lanes(reinterpret_cast<const float*>(block.data()) + part * each, each);
    return sum == static_cast<double>(each) ? static_cast<double>(each * 4) : 0.0;
  });
}

}  // namespace boreal::kernels
