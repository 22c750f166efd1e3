// Checker: tests of a spec's values, one after the other, and the complaint about the first that
// fails. Internal to spec/. Thread rule: a value.
#pragma once

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/characters.h"
#include "spec/node.h"
#include "spec/validate.h"

namespace boreal::spec {

class Checker {
 public:
  template <class... Args>
  void require(bool holds, std::vector<std::string> keys, fmt::format_string<Args...> format,
               Args&&... args) {
    if (holds || first_) return;
    first_ = Complaint{std::move(keys), fmt::format(format, std::forward<Args>(args)...)};
  }
  void range(const std::string& key, std::int64_t value, std::int64_t low, std::int64_t high) {
    require(value >= low && value <= high, {key}, "{} is {}, but must be {} to {}.", key, value,
            low, high);
  }
  // NaN fails every one of these, as it should.
  void positive(const std::string& key, double value) {
    require(value > 0 && value <= 1e30, {key}, "{} is {}, but must be greater than 0.", key, value);
  }
  void not_negative(const std::string& key, double value) {
    require(value >= 0 && value <= 1e30, {key}, "{} is {}, but must be 0 or greater.", key, value);
  }
  void share(const std::string& key, double value) {
    require(value >= 0 && value <= 1, {key}, "{} is {}, but must be a share from 0 to 1.", key,
            value);
  }
  void word(const std::string& key, const std::string& value,
            const std::vector<std::string>& known) {
    const bool holds = std::find(known.begin(), known.end(), value) != known.end();
    const auto near = nearest(value, known);
    require(holds, {key}, "{} is {}, but must be one of {}.{}", key, in_quotes(value),
            fmt::join(known, ", "), near ? fmt::format(" Did you mean {}?", *near) : "");
  }
  void divides(const std::string& part_key, std::int64_t part, const std::string& whole_key,
               std::int64_t whole, std::string_view why) {
    require(whole % part == 0, {part_key, whole_key},
            "{} is {}, which does not divide {} ({}): {}.", part_key, part, whole_key, whole, why);
  }
  void add(std::optional<Complaint> complaint) {
    if (!first_) first_ = std::move(complaint);
  }
  bool fine() const { return !first_; }
  std::optional<Complaint> take() && { return std::move(first_); }

 private:
  std::optional<Complaint> first_;
};

}  // namespace boreal::spec
