// Exact duplicates: a document whose text was seen before is dropped. By XXH3-128 of the text (a
// collision among 10^12 documents has odds of about 10^-15). Thread rule: one thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

namespace boreal::corpus {

class Dedup {
 public:
  // True the first time a text comes.
  bool is_new(std::string_view text);

 private:
  std::unordered_set<std::string> seen_;
};

}  // namespace boreal::corpus
