#include "tokens/blend.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

#include "base/check.h"

namespace boreal::tokens {

namespace {

constexpr std::int64_t kPeriodMax = std::int64_t{1} << 20;
constexpr std::size_t kSourcesMax = std::size_t{1} << 16;
// Far above the rounding of double weights, far below what shifts a share by one sample in 10^8
// periods.
constexpr double kExact = 1e-9;

// The shares as multiples of 1/period, if all of them are.
bool quotas_at(std::int64_t period, const std::vector<double>& shares,
               std::vector<std::int64_t>& quotas) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double exact = shares[i] * static_cast<double>(period);
    const double whole = std::round(exact);
    if (whole < 1 || std::abs(exact - whole) > kExact) return false;
    quotas[i] = static_cast<std::int64_t>(whole);
    sum += quotas[i];
  }
  return sum == period;
}

// Largest remainders at the largest period; the lowest index wins ties.
std::vector<std::int64_t> round_quotas(const std::vector<double>& shares) {
  std::vector<std::int64_t> quotas(shares.size());
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto remainder = [&](std::size_t i) {
    return shares[i] * static_cast<double>(kPeriodMax) - static_cast<double>(quotas[i]);
  };
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double floor = std::floor(shares[i] * static_cast<double>(kPeriodMax));
    quotas[i] = std::max(std::int64_t{1}, static_cast<std::int64_t>(floor));
  }
  std::ranges::stable_sort(order, [&](auto a, auto b) { return remainder(a) > remainder(b); });
  std::int64_t missing =
      kPeriodMax - std::accumulate(quotas.begin(), quotas.end(), std::int64_t{0});
  for (std::size_t i = 0; missing > 0; i = (i + 1) % order.size(), --missing) ++quotas[order[i]];
  // Quotas raised to 1 may overshoot; the largest source gives the difference.
  if (missing < 0) *std::ranges::max_element(quotas) += missing;
  return quotas;
}

// The next turn of a source: it may not be drawn before slot `release`, and comes in the order of
// its deadline whole + part / quota.
struct Turn {
  std::size_t source;
  std::int64_t release;
  std::int64_t whole;
  std::int64_t part;
  std::int64_t quota;
};

// With counts x, slots numbered from 1 and m = 2k - 2, Tijdeman draws at slot n, among the sources
// with n q - P x >= P / m, the one whose (P (1 - 1/m) + P x) / q is lowest. Scaled by m everything
// is whole and below 2^57.
Turn turn_of(std::size_t source, std::int64_t count, std::int64_t quota, std::int64_t period,
             std::int64_t m) {
  const std::int64_t release_num = period + period * count * m;
  const std::int64_t deadline_num = period * (m - 1) + period * count * m;
  return {source, (release_num + quota * m - 1) / (quota * m), deadline_num / quota,
          deadline_num % quota, quota};
}

bool released_later(const Turn& a, const Turn& b) {
  return a.release > b.release;
}

bool due_later(const Turn& a, const Turn& b) {
  if (a.whole != b.whole) return a.whole > b.whole;
  const std::int64_t left = a.part * b.quota;
  const std::int64_t right = b.part * a.quota;
  return left != right ? left > right : a.source > b.source;
}

}  // namespace

Result<Blend> Blend::create(std::span<const double> weights) {
  if (weights.empty()) return wrong_usage("a blend needs at least one source");
  if (weights.size() > kSourcesMax)
    return wrong_usage("{} sources, at most {} can be blended", weights.size(), kSourcesMax);
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || weights[i] <= 0)
      return wrong_usage("the weight of source {} is {}; it must be a number above 0", i,
                         weights[i]);
    sum += weights[i];
  }
  if (!std::isfinite(sum)) return wrong_usage("the sum of the weights is not finite");
  std::vector<double> shares(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    shares[i] = weights[i] / sum;
    if (shares[i] * static_cast<double>(kPeriodMax) < 0.5)
      return wrong_usage(
          "the weight of source {} is {:g} of the sum, below {:g}; raise it or leave the source "
          "out",
          i, shares[i], 0.5 / static_cast<double>(kPeriodMax));
  }
  std::vector<std::int64_t> quotas(shares.size());
  const auto least = static_cast<std::int64_t>(shares.size());
  for (std::int64_t period = least; period <= kPeriodMax; ++period)
    if (quotas_at(period, shares, quotas)) return Blend(period, std::move(quotas));
  return Blend(kPeriodMax, round_quotas(shares));
}

Blend::Blend(std::int64_t period, std::vector<std::int64_t> quotas)
    : period_(period), quotas_(std::move(quotas)) {
  source_.assign(static_cast<std::size_t>(period_), 0);
  rank_.assign(static_cast<std::size_t>(period_), 0);
  const auto m = std::max<std::int64_t>(2 * static_cast<std::int64_t>(quotas_.size()) - 2, 1);
  std::vector<std::int64_t> counts(quotas_.size(), 0);
  std::priority_queue<Turn, std::vector<Turn>, decltype(&released_later)> waiting(&released_later);
  std::priority_queue<Turn, std::vector<Turn>, decltype(&due_later)> ready(&due_later);
  for (std::size_t i = 0; i < quotas_.size(); ++i)
    waiting.push(turn_of(i, 0, quotas_[i], period_, m));
  for (std::int64_t slot = 1; slot <= period_; ++slot) {
    while (!waiting.empty() && waiting.top().release <= slot) {
      ready.push(waiting.top());
      waiting.pop();
    }
    CHECK(!ready.empty(), "no source may be drawn in slot {} of {}", slot, period_);
    const std::size_t source = ready.top().source;
    ready.pop();
    const auto at = static_cast<std::size_t>(slot - 1);
    source_[at] = static_cast<std::uint16_t>(source);
    rank_[at] = static_cast<std::uint32_t>(counts[source]++);
    waiting.push(turn_of(source, counts[source], quotas_[source], period_, m));
  }
  CHECK(counts == quotas_);
}

Blend::Draw Blend::draw(std::int64_t n) const {
  CHECK_GE(n, 0);
  const auto slot = static_cast<std::size_t>(n % period_);
  const std::size_t source = source_[slot];
  return {source, n / period_ * quotas_[source] + rank_[slot]};
}

std::int64_t Blend::count_before(std::size_t source, std::int64_t n) const {
  CHECK_GE(n, 0);
  std::int64_t count = n / period_ * quotas_[source];
  for (auto slot = static_cast<std::size_t>(n % period_); slot > 0; --slot)
    if (source_[slot - 1] == source) return count + rank_[slot - 1] + 1;
  return count;
}

}  // namespace boreal::tokens
