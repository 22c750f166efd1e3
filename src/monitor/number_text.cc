#include "monitor/number_text.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <ctime>

namespace boreal::monitor {

std::string count_text(std::int64_t n) {
  const std::string digits = fmt::format("{}", n);
  const std::size_t first = n < 0 ? 1 : 0;
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

namespace {

struct Scaled {
  double value = 0;
  const char* prefix = "";
};

Scaled decimal_prefix(double value) {
  static constexpr std::array<const char*, 5> kPrefix = {"", "k", "M", "G", "T"};
  std::size_t prefix = 0;
  // 999.5 prints as "1e+03" with three digits, hence the bound below 1000.
  while (std::fabs(value) >= 999.5 && prefix + 1 < kPrefix.size()) {
    value /= 1000;
    ++prefix;
  }
  return {value, kPrefix[prefix]};
}

}  // namespace

std::string short_text(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  const Scaled scaled = decimal_prefix(value);
  return fmt::format("{:.3g}{}", scaled.value, scaled.prefix);
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string bytes_text(double bytes) {
  const Scaled scaled = decimal_prefix(bytes);
  return fmt::format("{:.3g} {}B", scaled.value, scaled.prefix);
}

std::string utc_text(double wall_s) {
  const auto seconds = static_cast<std::time_t>(wall_s);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string json_number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

}  // namespace boreal::monitor
