#include "infer/page_pool.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "base/philox.h"

namespace boreal::infer {
namespace {

std::vector<std::int32_t> text(std::int32_t first, std::int64_t count) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

TEST(PagePool, HandsOutEachPageOnceAndTakesThemBack) {
  PagePool pool(4);
  const auto a = pool.take(text(0, 10), 130);
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->pages.size(), 3U);
  EXPECT_EQ(a->row(129), a->pages[2] + 1);
  EXPECT_EQ(pool.free(), 1);
  EXPECT_FALSE(pool.take(text(0, 10), 65).has_value());
  EXPECT_EQ(pool.free(), 1) << "a refusal keeps nothing";
  const auto b = pool.take(text(0, 10), 64);
  ASSERT_TRUE(b.has_value());
  std::set<std::int32_t> rows(a->pages.begin(), a->pages.end());
  rows.insert(b->pages.begin(), b->pages.end());
  EXPECT_THAT(rows, testing::ElementsAre(0, 64, 128, 192));
  pool.give_back(*a);
  pool.give_back(*b);
  EXPECT_EQ(pool.free(), 4);
}

TEST(PagePool, SharesFullPagesOfTheSameBeginningOnly) {
  PagePool pool(8);
  const auto prompt = text(0, 200);
  const auto first = *pool.take(prompt, 220);
  EXPECT_EQ(first.reused, 0);
  EXPECT_EQ(pool.take(prompt, 200)->reused, 0) << "nothing is filled yet";
  pool.filled(first, prompt, 130);

  PagePool fresh(8);
  const auto mine = *fresh.take(prompt, 220);
  fresh.filled(mine, prompt, 200);
  fresh.give_back(mine);
  const auto again = *fresh.take(prompt, 220);
  EXPECT_EQ(again.reused, 192);
  EXPECT_EQ(again.pages[2], mine.pages[2]);
  auto other = prompt;
  other[100] = -1;
  const auto half = *fresh.take(other, 220);
  EXPECT_EQ(half.reused, 64);
  EXPECT_EQ(half.pages[0], mine.pages[0]);
  EXPECT_NE(half.pages[1], mine.pages[1]);
  // The same tokens behind other ones are another text.
  const std::vector<std::int32_t> tail(prompt.begin() + 64, prompt.end());
  fresh.give_back(half);
  EXPECT_EQ(fresh.take(tail, 136)->reused, 0);
}

TEST(PagePool, ThePromptsLastTokenIsNeverReused) {
  PagePool pool(4);
  const auto prompt = text(0, 128);
  const auto first = *pool.take(prompt, 128);
  pool.filled(first, prompt, 128);
  EXPECT_EQ(pool.take(prompt, 128)->reused, 64);
}

TEST(PagePool, WhatIsKnownGoesLastAndTheOldestOfItFirst) {
  PagePool pool(3);
  for (const std::int32_t start : {0, 1000}) {
    const auto lease = *pool.take(text(start, 64), 64);
    pool.filled(lease, text(start, 64), 64);
    pool.give_back(lease);
  }
  const auto blank = *pool.take(text(5000, 10), 10);  // the third page, of no text
  EXPECT_EQ(pool.take(text(1000, 65), 64)->reused, 64);
  const auto oldest = *pool.take(text(6000, 10), 10);
  EXPECT_EQ(oldest.reused, 0);
  EXPECT_FALSE(pool.take(text(0, 65), 64).has_value());
  pool.give_back(oldest);
  EXPECT_EQ(pool.take(text(0, 65), 64)->reused, 0) << "its page was taken";
}

// Leases at random never overlap but where they share, and a shared page holds the same text.
TEST(PagePool, HoldsUnderAThousandRandomSteps) {
  constexpr std::int64_t kPages = 12;
  PagePool pool(kPages);
  const Rng rng(1, "pages");
  struct Held {
    Lease lease;
    std::vector<std::int32_t> prompt;
  };
  std::vector<Held> held;
  std::uint64_t draw = 0;
  std::int64_t reused = 0;
  for (int step = 0; step < 1000; ++step) {
    if (rng.bits(draw++) % 2 == 0 && !held.empty()) {
      const std::size_t which = rng.bits(draw++) % held.size();
      pool.give_back(held[which].lease);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      continue;
    }
    const auto beginning = static_cast<std::int32_t>(rng.bits(draw++) % 3) * 1000;
    const auto prompt = text(beginning, static_cast<std::int64_t>(rng.bits(draw++) % 300) + 1);
    const auto tokens = std::ssize(prompt) + static_cast<std::int64_t>(rng.bits(draw++) % 50);
    auto lease = pool.take(prompt, tokens);
    if (!lease) continue;
    reused += lease->reused;
    EXPECT_EQ(std::ssize(lease->pages), PagePool::pages_of(tokens));
    EXPECT_LT(lease->reused, std::ssize(prompt));
    pool.filled(*lease, prompt, std::ssize(prompt));
    held.push_back({*lease, prompt});
    std::map<std::int32_t, std::vector<std::int32_t>> content;
    for (const Held& h : held)
      for (std::size_t i = 0; i < h.lease.pages.size(); ++i) {
        std::vector<std::int32_t> mine;
        if ((i + 1) * 64 <= h.prompt.size())
          mine.assign(h.prompt.begin() + static_cast<std::ptrdiff_t>(i * 64),
                      h.prompt.begin() + static_cast<std::ptrdiff_t>(i * 64 + 64));
        const auto [at, is_new] = content.emplace(h.lease.pages[i], mine);
        if (!is_new) {
          EXPECT_FALSE(mine.empty()) << "a page that is written to is shared";
          EXPECT_EQ(at->second, mine);
        }
      }
    EXPECT_EQ(static_cast<std::int64_t>(content.size()) + pool.free(), kPages);
  }
  EXPECT_GT(reused, 0);
}

}  // namespace
}  // namespace boreal::infer
