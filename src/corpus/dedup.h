// Exact duplicates: a document whose text was seen before is dropped. By XXH3-128 of the text (a
// collision among 10^12 documents has odds of about 10^-15). Thread rule: one thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

namespace boreal::corpus {

class Dedup {
 public:
  // What tells texts apart: who holds a text can give its key to who compares.
  static std::string key_of(std::string_view text);

  // True the first time a text comes.
  bool is_new(std::string_view text) { return is_new_key(key_of(text)); }
  bool is_new_key(std::string_view key) { return seen_.emplace(key).second; }

 private:
  std::unordered_set<std::string> seen_;
};

}  // namespace boreal::corpus
