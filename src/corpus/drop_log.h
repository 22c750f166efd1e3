// What was left out and why: a count and the first few names by reason. Nothing is dropped without
// an entry here. Thread rule: a value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace boreal::corpus {

struct Dropped {
  std::int64_t count = 0;
  std::vector<std::string> examples;  // at most kExamplesMax

  bool operator==(const Dropped&) const = default;
};

class DropLog {
 public:
  static constexpr std::size_t kExamplesMax = 5;

  void add(const std::string& reason, const std::string& what) {
    Dropped& entry = by_reason_[reason];
    ++entry.count;
    if (entry.examples.size() < kExamplesMax) entry.examples.push_back(what);
  }
  std::int64_t count(const std::string& reason) const {
    const auto found = by_reason_.find(reason);
    return found == by_reason_.end() ? 0 : found->second.count;
  }
  const std::map<std::string, Dropped>& by_reason() const { return by_reason_; }

 private:
  std::map<std::string, Dropped> by_reason_;
};

}  // namespace boreal::corpus
