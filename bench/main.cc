// Any benchmark program: bench_NAME [FILTER] [--json] [--runs=N] [--threads=N] [--oracle=PYTHON]
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "bench/session.h"

namespace {

using boreal::bench::Options;

constexpr const char* kUsage =
    R"(bench_NAME [FILTER] [--json] [--runs=N] [--threads=N] [--oracle=PYTHON]
  FILTER           only cases whose name holds this
  --json           one JSON object a line: name, value, min, max, unit, runs, ratio, against
  --runs=N         runs of each case, of which the median counts (5)
  --threads=N      threads of the pool (as many as the cores of the cgroup)
  --oracle=PYTHON  a Python with torch: the same shapes in PyTorch, in turns with ours
                   (or set BOREAL_BENCH_ORACLE)
)";

bool read_count(std::string_view text, std::int64_t& count) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  return code == std::errc() && end == text.data() + text.size() && count >= 1;
}

bool read_argument(std::string_view argument, Options& options) {
  const std::size_t equals = argument.find('=');
  const std::string_view key = argument.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : argument.substr(equals + 1);
  if (key == "--runs") return read_count(value, options.runs);
  if (key == "--threads") return read_count(value, options.threads);
  if (argument == "--json") {
    options.json = true;
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
  options.threads = boreal::device::read_machine(boreal::Env::real()).cores;
  if (const char* oracle = std::getenv("BOREAL_BENCH_ORACLE"); oracle != nullptr)
    options.oracle = oracle;
  for (int i = 1; i < argc; ++i)
    if (!read_argument(argv[i], options)) {
      fmt::print(stderr, "{}", kUsage);
      return 2;
    }
  boreal::bench::Session session(options);
  boreal::bench::run_cases(session);
  return 0;
}
