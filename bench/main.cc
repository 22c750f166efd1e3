// Any benchmark program; kUsage says how it is called.
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "bench/session.h"

namespace {

using boreal::bench::Options;

constexpr const char* kUsage =
    R"(bench_NAME [FILTER] [--json] [--runs=N] [--threads=N] [--isa=NAME] [--oracle=PYTHON]
           [--eager]
  FILTER           only cases whose name holds this
  --json           one JSON object a line: name, value, min, max, unit, runs, ratio, against
  --runs=N         runs of each case, of which the median counts (5)
  --threads=N      threads of the pool (as many as the cores of the cgroup)
  --oracle=PYTHON  a Python with torch: the same shapes in PyTorch, in turns with ours
                   (or set BOREAL_BENCH_ORACLE)
  --eager          not against torch.compile
  --isa=NAME       x86-64-v2, avx2, avx512, avx512_bf16 or amx_bf16: no higher instruction set, for
                   PyTorch too (sets BOREAL_ISA, ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA)
)";

bool read_count(std::string_view text, std::int64_t& count) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  return code == std::errc() && end == text.data() + text.size() && count >= 1;
}

// For this process and those that it starts. ATen and the oneDNN in it choose apart from each
// other; left alone, oneDNN would use what ATen may not.
bool limit_isa(std::string_view name) {
  struct Limit {
    const char *ours, *aten, *onednn;
  };
  constexpr Limit kLimits[] = {{"x86-64-v2", "default", "SSE41"},
                               {"avx2", "avx2", "AVX2"},
                               {"avx512", "avx512", "AVX512_CORE"},
                               {"avx512_bf16", "avx512", "AVX512_CORE_BF16"},
                               {"amx_bf16", "avx512", "ALL"}};
  for (const Limit& limit : kLimits) {
    if (name != limit.ours) continue;
    if (!boreal::device::limit_isa(name).ok()) return false;
    setenv("BOREAL_ISA", limit.ours, 1);
    setenv("ATEN_CPU_CAPABILITY", limit.aten, 1);
    setenv("ONEDNN_MAX_CPU_ISA", limit.onednn, 1);
    return true;
  }
  return false;
}

bool read_argument(std::string_view argument, Options& options) {
  const std::size_t equals = argument.find('=');
  const std::string_view key = argument.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : argument.substr(equals + 1);
  if (key == "--runs") return read_count(value, options.runs);
  if (key == "--threads") return read_count(value, options.threads);
  if (key == "--isa") return limit_isa(value);
  if (argument == "--json") {
    options.json = true;
  } else if (argument == "--eager") {
    options.compiled = false;
  } else if (key == "--oracle" && !value.empty()) {
    options.oracle = value;
  } else if (!argument.starts_with('-') && options.filter.empty()) {
    options.filter = argument;
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.threads = 0;
  if (const char* oracle = std::getenv("BOREAL_BENCH_ORACLE"); oracle != nullptr)
    options.oracle = oracle;
  for (int i = 1; i < argc; ++i)
    if (!read_argument(argv[i], options)) {
      fmt::print(stderr, "{}", kUsage);
      return 2;
    }
  // Only now: it asks for the instruction set, which the line may have limited.
  if (options.threads == 0)
    options.threads = boreal::device::read_machine(boreal::Env::real()).cores;
  boreal::bench::Session session(options);
  boreal::bench::run_cases(session);
  return 0;
}
