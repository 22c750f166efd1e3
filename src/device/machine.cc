#include "device/machine.h"

#include <cpuid.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

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

// The number behind a name at the start of a line, as in "MemAvailable:  123 kB"; 0 if there is
// none.
double number_of(Env& env, const std::string& path, const std::string& name) {
  const auto text = env.read_file(path);
  if (!text.ok()) return 0;
  std::size_t at = text->starts_with(name) ? 0 : text->find("\n" + name);
  if (at == std::string::npos) return 0;
  at = text->find_first_of("0123456789", at + name.size());
  double value = 0;
  if (at != std::string::npos)
    std::from_chars(text->data() + at, text->data() + text->size(), value);
  return value;
}

// The cgroup (v2) of this process and those above it, as folders.
std::vector<std::string> cgroups(Env& env) {
  const std::string root = "/sys/fs/cgroup";
  std::vector<std::string> folders = {root};
  const auto text = env.read_file("/proc/self/cgroup");
  const std::size_t at = text.ok() ? text->find("0::/") : std::string::npos;
  if (at == std::string::npos) return folders;
  const std::string path = text->substr(at + 4, text->find('\n', at) - at - 4);
  for (std::size_t end = 0; !path.empty() && end != std::string::npos;) {
    end = path.find('/', end + 1);
    folders.push_back(root + "/" + path.substr(0, end));
  }
  return folders;
}

// What all of it is, and what may still be taken.
std::pair<std::int64_t, std::int64_t> memory(Env& env) {
  auto limit =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  double left = number_of(env, "/proc/meminfo", "MemAvailable:") * 1024;
  if (left <= 0) left = limit;
  const auto bound = [&](const std::string& folder, const char* max, const char* now) {
    double value = 0;
    double ignored = 0;
    if (!read_number(env, join_path(folder, max), value, ignored) || value <= 0) return;
    limit = std::min(limit, value);
    double used = 0;
    if (!read_number(env, join_path(folder, now), used, ignored)) return;
    const std::string stat = join_path(folder, "memory.stat");
    const double droppable =
        number_of(env, stat, "inactive_file ") + number_of(env, stat, "active_file ");
    left = std::min(left, value - used + droppable);
  };
  for (const std::string& folder : cgroups(env)) bound(folder, "memory.max", "memory.current");
  bound("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes");
  left = std::clamp(left, 0.0, limit);
  return {static_cast<std::int64_t>(limit), static_cast<std::int64_t>(left)};
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

namespace {

constexpr std::array kIsas = {Isa::v2, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx_bf16};
std::string isa_names() {
  std::string names;
  for (const Isa isa : kIsas) names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(isa));
  return names;
}

std::optional<Isa> isa_named(std::string_view name) {
  for (const Isa isa : kIsas)
    if (name_of(isa) == name) return isa;
  return std::nullopt;
}

std::atomic<Isa>& isa_limit() {
  static std::atomic<Isa> limit{kIsas.back()};
  return limit;
}

Isa offered_isa() {
  // The builtin also asks the operating system (XGETBV) whether the wide registers are saved.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::v2;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return Isa::avx2;
  // Every processor with the first has the second; a guest may still be shown only one of them.
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vnni"))
    return Isa::avx512;
  return may_use_tiles() ? Isa::amx_bf16 : Isa::avx512_bf16;
}

}  // namespace

Isa best_isa() {
  static const Isa offered = offered_isa();
  return std::min(offered, isa_limit().load());
}

Status limit_isa(std::string_view name) {
  const std::optional<Isa> isa = isa_named(name);
  if (!isa.has_value())
    return wrong_usage("\"{}\" is no instruction set; there are {}", name, isa_names());
  isa_limit() = *isa;
  return Done{};
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : kIsas)
    if (isa <= best_isa()) isas.push_back(isa);
  return isas;
}

Machine read_machine(Env& env) {
  const double time = core_time(env);
  auto cores = static_cast<double>(own_mask().size());
  if (time > 0) cores = std::min(cores, std::ceil(time));
  const auto [all_bytes, available_bytes] = memory(env);
  return {.cpu_model = cpu_model(env),
          .cores = std::max<std::int64_t>(1, static_cast<std::int64_t>(cores)),
          .core_time = time,
          .memory_bytes = all_bytes,
          .available_bytes = available_bytes,
          .isa = best_isa()};
}

std::int64_t anonymous_bytes() {
  // "size resident shared ...", in pages; shared are those of files and of shared memory.
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[256];
  const ssize_t count = ::read(fd, text, sizeof text);
  ::close(fd);
  std::int64_t numbers[3] = {};
  const char* at = text;
  for (std::int64_t& number : numbers) {
    const auto [next, code] = std::from_chars(at, text + std::max<ssize_t>(count, 0), number);
    if (code != std::errc()) return 0;
    at = next + 1;
  }
  return (numbers[1] - numbers[2]) * sysconf(_SC_PAGESIZE);
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace boreal::device
