// Result<T>: a value, or an Error that a person can act on. For everything that a user, a file, a
// disk or a peer can cause. The message names the object, the two values that disagree and the
// likely cause. Thread rule: values, any thread.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace boreal {

// Decides the exit code of the program (design 10).
enum class ErrorKind {
  failed,       // 1: the machine or the run failed (disk full, not finite)
  usage,        // 2: wrong command line or spec
  refused,      // 3: an input was refused (damaged, wrong format, does not match)
  try_again,    // 75: pre-empted, resumable
  interrupted,  // 130
};

int exit_code(ErrorKind kind);

struct [[nodiscard]] Error {
  std::string message;
  ErrorKind kind = ErrorKind::failed;

  // The same error, seen from further out: "outer: message".
  Error within(const std::string& outer) && { return Error{outer + ": " + message, kind}; }
};

template <class... Args>
Error failed(fmt::format_string<Args...> format, Args&&... args) {
  return {fmt::format(format, std::forward<Args>(args)...), ErrorKind::failed};
}
template <class... Args>
Error wrong_usage(fmt::format_string<Args...> format, Args&&... args) {
  return {fmt::format(format, std::forward<Args>(args)...), ErrorKind::usage};
}
template <class... Args>
Error refused(fmt::format_string<Args...> format, Args&&... args) {
  return {fmt::format(format, std::forward<Args>(args)...), ErrorKind::refused};
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }

  const T& value() const& {
    CHECK(ok(), "{}", std::get<1>(state_).message);
    return std::get<0>(state_);
  }
  T& value() & {
    CHECK(ok(), "{}", std::get<1>(state_).message);
    return std::get<0>(state_);
  }
  T&& value() && {
    CHECK(ok(), "{}", std::get<1>(state_).message);
    return std::get<0>(std::move(state_));
  }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const T& operator*() const { return value(); }
  T& operator*() { return value(); }

  const Error& error() const& {
    CHECK(!ok());
    return std::get<1>(state_);
  }
  Error&& error() && {
    CHECK(!ok());
    return std::get<1>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace boreal

#define BOREAL_CONCAT_(a, b) a##b
#define BOREAL_CONCAT(a, b) BOREAL_CONCAT_(a, b)

// RETURN_IF_ERROR(expression of type Result<...>);
#define RETURN_IF_ERROR(expr)                                          \
  do {                                                                 \
    if (auto boreal_status = (expr); !boreal_status.ok()) [[unlikely]] \
      return std::move(boreal_status).error();                         \
  } while (false)

// ASSIGN_OR_RETURN(auto x, expression of type Result<X>);
#define ASSIGN_OR_RETURN(left, expr) \
  BOREAL_ASSIGN_OR_RETURN(BOREAL_CONCAT(boreal_result_, __LINE__), left, expr)
#define BOREAL_ASSIGN_OR_RETURN(temp, left, expr) \
  auto temp = (expr);                             \
  if (!temp.ok()) [[unlikely]]                    \
    return std::move(temp).error();               \
  left = std::move(temp).value()
