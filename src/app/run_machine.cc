// boreal machine: what this machine offers, measured.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/figures.h"
#include "device/machine.h"
#include "device/pool.h"
#include "kernels/machine_peak.h"

namespace boreal::app {

Status run_machine(const Arguments& args) {
  const device::Machine machine = device::read_machine(Env::real());
  ASSIGN_OR_RETURN(const auto pool, device::Pool::start(machine.cores, true));
  const device::Context ctx = device::cpu_context(*pool);
  const kernels::MachinePeak peak = kernels::measure_flops(ctx, 3);
  const double bandwidth = kernels::measure_read_bandwidth(ctx, std::int64_t{512} << 20, 2);
  std::printf(
      "processor         %s\ncores             %ld\nmemory            %.1f GB\ninstruction set   "
      "%s\n"
      "peak fp32         %.0f GFLOP/s\npeak bf16         %.0f GFLOP/s\nmemory read       %.1f "
      "GB/s\n",
      machine.cpu_model.c_str(), static_cast<long>(machine.cores),
      static_cast<double>(machine.memory_bytes) * 1e-9,
      std::string(device::name_of(machine.isa)).c_str(), peak.f32_flops * 1e-9,
      peak.bf16_flops * 1e-9, bandwidth * 1e-9);
  print_figures(args, {{"cpu", machine.cpu_model},
                       {"cores", machine.cores},
                       {"memory_bytes", machine.memory_bytes},
                       {"isa", device::name_of(machine.isa)},
                       {"fp32_flops", peak.f32_flops},
                       {"bf16_flops", peak.bf16_flops},
                       {"read_bytes_per_s", bandwidth}});
  return Done{};
}

}  // namespace boreal::app
