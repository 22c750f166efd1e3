// Assertions for bugs. A failed CHECK prints file, line, the condition and both values, then
// aborts: state is not to be trusted any more. Trouble that a user can cause is a Result
// (result.h), never a CHECK. Thread rule: any thread.
#pragma once

#include <fmt/format.h>

#include <string>
#include <type_traits>

namespace boreal {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail);

namespace internal {
template <class T>
std::string show(const T& value) {
  if constexpr (fmt::is_formattable<T>::value) {
    return fmt::format("{}", value);
  } else if constexpr (std::is_enum_v<T>) {
    return fmt::format("{}", static_cast<long long>(value));
  } else {
    return "?";
  }
}
}  // namespace internal

}  // namespace boreal

#define CHECK(condition, ...)                                                                \
  do {                                                                                       \
    if (!(condition)) [[unlikely]]                                                           \
      ::boreal::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)

#define BOREAL_CHECK_OP(a, op, b)                                                               \
  do {                                                                                          \
    const auto& check_a = (a);                                                                  \
    const auto& check_b = (b);                                                                  \
    if (!(check_a op check_b)) [[unlikely]]                                                     \
      ::boreal::check_failed(                                                                   \
          __FILE__, __LINE__, #a " " #op " " #b,                                                \
          ::boreal::internal::show(check_a) + " against " + ::boreal::internal::show(check_b)); \
  } while (false)

#define CHECK_EQ(a, b) BOREAL_CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) BOREAL_CHECK_OP(a, !=, b)
#define CHECK_LT(a, b) BOREAL_CHECK_OP(a, <, b)
#define CHECK_LE(a, b) BOREAL_CHECK_OP(a, <=, b)
#define CHECK_GT(a, b) BOREAL_CHECK_OP(a, >, b)
#define CHECK_GE(a, b) BOREAL_CHECK_OP(a, >=, b)
