#include "kernels/machine_peak.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace boreal::kernels {
namespace {

TEST(MachinePeak, IsMeasuredInAboutTheTimeItIsGivenOnAllSets) {
  device::Pool pool(2);
  for (const device::Isa isa : device::available_isas()) {
    device::Context ctx = device::cpu_context(pool);
    ctx.isa = isa;
    const double start_s = Clock::real().now_s();
    const MachinePeak peak = measure_flops(ctx, 0.1);
    const double read = measure_read_bandwidth(ctx, 64 << 20, 0.05);
    EXPECT_GE(Clock::real().now_s() - start_s, 0.15);
    EXPECT_LT(Clock::real().now_s() - start_s, 15) << device::name_of(isa);
    // Any processor with SSE4.2 makes a hundred million of each a second; none makes 10^15.
    for (const double rate : {peak.f32_flops, peak.bf16_flops, read}) {
      EXPECT_GT(rate, 1e8) << device::name_of(isa);
      EXPECT_LT(rate, 1e15) << device::name_of(isa);
    }
  }
}

}  // namespace
}  // namespace boreal::kernels
