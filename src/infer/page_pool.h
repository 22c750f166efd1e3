// PagePool: which rows of the key-value cache belong to which sequence. The cache is cut into pages
// of kernels::kKeyTile tokens ("PagedAttention", Kwon et al. 2023); a sequence holds as many as its
// longest text may need, so it never has to stop for want of one. A page that is full of prompt
// stays known by the tokens up to its end, and a prompt that begins with them shares it as long as
// nobody else took it. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace boreal::infer {

struct Lease {
  std::vector<std::int32_t> pages;  // first row of each page, in order
  std::int64_t reused = 0;          // tokens at the front whose keys and values are there already

  std::int64_t row(std::int64_t position) const;
};

class PagePool {
 public:
  explicit PagePool(std::int64_t pages);
  static std::int64_t pages_of(std::int64_t tokens);

  // Room for so many tokens, shared where the prompt allows; its last token is never reused, since
  // somebody must compute its logits. None while too few pages are free.
  std::optional<Lease> take(std::span<const std::int32_t> prompt, std::int64_t tokens);
  // The first `tokens` tokens of the prompt have their keys in the lease: others may share them.
  void filled(const Lease& lease, std::span<const std::int32_t> prompt, std::int64_t tokens);
  void give_back(const Lease& lease);

  std::int64_t free() const { return static_cast<std::int64_t>(idle_.size()); }

 private:
  struct Page {
    std::int64_t users = 0;
    std::string known_as;  // hash of all tokens up to its end; "": of none
    std::uint64_t idle_since = 0;
  };
  Page& page(std::int32_t row);
  void rest(std::int32_t row);

  std::vector<Page> pages_;
  std::map<std::string, std::int32_t> by_hash_;
  // Pages that nobody holds, those that may still be shared last, and of these the oldest first.
  std::set<std::pair<std::uint64_t, std::int32_t>> idle_;
  std::uint64_t time_ = 0;
};

}  // namespace boreal::infer
