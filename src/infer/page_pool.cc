#include "infer/page_pool.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "kernels/attention.h"

namespace boreal::infer {

using kernels::kKeyTile;

namespace {

// Name of a page: the page before it, and its own tokens.
std::string name_of(const std::string& before, std::span<const std::int32_t> prompt,
                    std::int64_t index) {
  const auto tokens =
      std::as_bytes(prompt.subspan(static_cast<std::size_t>(index * kKeyTile), kKeyTile));
  std::string text = before;
  text.append(reinterpret_cast<const char*>(tokens.data()), tokens.size());
  return xxh3_128_hex(std::as_bytes(std::span(text)));
}

}  // namespace

std::int64_t Lease::row(std::int64_t position) const {
  return pages[static_cast<std::size_t>(position / kKeyTile)] + position % kKeyTile;
}

PagePool::PagePool(std::int64_t pages) : pages_(static_cast<std::size_t>(pages)) {
  for (std::int64_t i = 0; i < pages; ++i) rest(static_cast<std::int32_t>(i * kKeyTile));
}

std::int64_t PagePool::pages_of(std::int64_t tokens) {
  return (tokens + kKeyTile - 1) / kKeyTile;
}

PagePool::Page& PagePool::page(std::int32_t row) {
  return pages_[static_cast<std::size_t>(row / kKeyTile)];
}

void PagePool::rest(std::int32_t row) {
  Page& p = page(row);
  p.idle_since = p.known_as.empty() ? 0 : ++time_;
  idle_.emplace(p.idle_since, row);
}

std::optional<Lease> PagePool::take(std::span<const std::int32_t> prompt, std::int64_t tokens) {
  Lease lease;
  std::string name;
  for (std::int64_t i = 0; (i + 1) * kKeyTile < std::ssize(prompt); ++i) {
    name = name_of(name, prompt, i);
    const auto known = by_hash_.find(name);
    if (known == by_hash_.end()) break;
    Page& p = page(known->second);
    if (p.users++ == 0) idle_.erase({p.idle_since, known->second});
    lease.pages.push_back(known->second);
    lease.reused += kKeyTile;
  }
  const std::int64_t missing = pages_of(tokens) - std::ssize(lease.pages);
  if (missing > free()) {
    give_back(lease);
    return std::nullopt;
  }
  for (std::int64_t i = 0; i < missing; ++i) {
    const std::int32_t row = idle_.begin()->second;
    idle_.erase(idle_.begin());
    Page& p = page(row);
    if (!p.known_as.empty()) by_hash_.erase(std::exchange(p.known_as, {}));
    p.users = 1;
    lease.pages.push_back(row);
  }
  return lease;
}

void PagePool::filled(const Lease& lease, std::span<const std::int32_t> prompt,
                      std::int64_t tokens) {
  std::string name;
  for (std::int64_t i = 0; (i + 1) * kKeyTile <= std::min(tokens, std::ssize(prompt)); ++i) {
    name = name_of(name, prompt, i);
    const std::int32_t row = lease.pages[static_cast<std::size_t>(i)];
    // Two that filled the same at once: the first one's page is the one to share.
    if (page(row).known_as.empty() && by_hash_.emplace(name, row).second) page(row).known_as = name;
  }
}

void PagePool::give_back(const Lease& lease) {
  for (const std::int32_t row : lease.pages) {
    Page& p = page(row);
    CHECK_GE(p.users, 1);
    if (--p.users == 0) rest(row);
  }
}

}  // namespace boreal::infer
