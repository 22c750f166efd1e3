#include "device/machine.h"

#include <cpuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "device/host.h"

namespace boreal::device {

namespace {

// "max" or a number at the start of a cgroup file; nothing if the file is absent.
bool read_number(Env& env, const std::string& path, double& first, double& second) {
  const auto content = env.read_file(path);
  if (!content.ok()) return false;
  const std::string& text = *content;
  const char* at = text.data();
  const char* end = at + text.size();
  auto [next, code] = std::from_chars(at, end, first);
  if (code != std::errc()) return false;
  if (next < end) ++next;
  second = 0;
  std::from_chars(next, end, second);
  return true;
}

// 0: no limit.
double core_time(Env& env) {
  double quota = 0;
  double period = 0;
  if (read_number(env, "/sys/fs/cgroup/cpu.max", quota, period) && period > 0)
    return quota / period;
  double ignored = 0;
  if (read_number(env, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota, ignored) && quota > 0 &&
      read_number(env, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, ignored) && period > 0)
    return quota / period;
  return 0;
}

std::int64_t memory_limit(Env& env) {
  auto limit =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  double value = 0;
  double ignored = 0;
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
    if (read_number(env, path, value, ignored) && value > 0) limit = std::min(limit, value);
  return static_cast<std::int64_t>(limit);
}

std::string cpu_model(Env& env) {
  const auto info = env.read_file("/proc/cpuinfo");
  if (!info.ok()) return "unknown";
  const std::size_t at = info->find("model name");
  if (at == std::string::npos) return "unknown";
  const std::size_t begin = info->find(": ", at) + 2;
  return info->substr(begin, info->find('\n', at) - begin);
}

// Whether the processor has tiles and bf16 products on them, the system saves them (XGETBV), and
// grants them to this process and its threads (Linux from 5.16 on wants to be asked).
bool may_use_tiles() {
#if defined(BOREAL_EMULATE_AMX)
  return true;
#else
  unsigned int a = 0;
  unsigned int b = 0;
  unsigned int c = 0;
  unsigned int d = 0;
  constexpr unsigned int kBf16 = 1U << 22;
  constexpr unsigned int kTiles = 1U << 24;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kBf16) == 0 || (d & kTiles) == 0)
    return false;
  constexpr unsigned int kTileState = 3U << 17;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  if ((a & kTileState) != kTileState) return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#endif
}

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::v2: return "x86-64-v2";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512_bf16: return "avx512_bf16";
    case Isa::amx_bf16: return "amx_bf16";
  }
  return "?";
}

Isa best_isa() {
  // The builtin also asks the operating system (XGETBV) whether the wide registers are saved.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::v2;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return Isa::avx2;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::avx512;
  static const bool tiles = may_use_tiles();
  return tiles ? Isa::amx_bf16 : Isa::avx512_bf16;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::v2, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx_bf16})
    if (isa <= best_isa()) isas.push_back(isa);
  return isas;
}

Machine read_machine(Env& env) {
  const double time = core_time(env);
  auto cores = static_cast<double>(own_mask().size());
  if (time > 0) cores = std::min(cores, std::ceil(time));
  return {.cpu_model = cpu_model(env),
          .cores = std::max<std::int64_t>(1, static_cast<std::int64_t>(cores)),
          .core_time = time,
          .memory_bytes = memory_limit(env),
          .isa = best_isa()};
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace boreal::device
