// Numbers as people read them, and as they round-trip. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace boreal::monitor {

// 1234567 -> "1,234,567".
std::string count_text(std::int64_t n);

// Three significant digits with a decimal prefix: 12345 -> "12.3k", 0.5 -> "0.5", 3.2e9 -> "3.2G".
std::string short_text(double value);

// "340 ms", "8.2 s", "1:05", "2:03:09".
std::string duration_text(double seconds);

// Decimal multiples: 1500 -> "1.5 kB".
std::string bytes_text(double bytes);

// "2025-11-21T13:32:00Z" of seconds since 1970.
std::string utc_text(double wall_s);

// The shortest decimal that reads back to the same double; "null" for what JSON cannot hold
// (infinities, not a number).
std::string json_number(double value);

}  // namespace boreal::monitor
