#include "bench/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "bench/peer.h"

namespace boreal::bench {

namespace {
constexpr double kPeakS = 1;
// More than the caches of a processor hold.
constexpr std::int64_t kReadBytes = std::int64_t{256} << 20;
// A sample repeats short cases this long.
constexpr double kSampleS = 0.05;
// Long enough for the other side's idle threads to stop spinning and go to sleep.
constexpr auto kPause = std::chrono::milliseconds(50);
}  // namespace

Session::Session(const Options& options)
    : options_(options), pool_(options.threads), ctx_(device::cpu_context(pool_)) {
  peak_ = kernels::measure_flops(ctx_, kPeakS);
  read_gb_per_s_ = kernels::measure_read_bandwidth(ctx_, kReadBytes, kPeakS) / 1e9;
  if (!options.oracle.empty())
    peer_ = std::make_unique<Peer>(Peer::torch(options.oracle, options.threads));
  const auto machine = [&](const char* name, double value, const char* unit) {
    print(std::string("machine.") + name, unit, {value, value, value}, 1, name, nullptr);
  };
  machine("fp32", peak_gflops(DType::f32), "GFLOP/s");
  machine("bf16", peak_gflops(DType::bf16), "GFLOP/s");
  machine("memory", read_gb_per_s_, "GB/s");
}

Session::~Session() = default;

bool Session::wants(const std::string& name) const {
  return name.find(options_.filter) != std::string::npos;
}

Session::Spread Session::spread_of(std::vector<double> rates) {
  CHECK(!rates.empty());
  std::sort(rates.begin(), rates.end());
  const std::size_t half = rates.size() / 2;
  const double median = rates.size() % 2 == 1 ? rates[half] : (rates[half - 1] + rates[half]) / 2;
  return {median, rates.front(), rates.back()};
}

void Session::measure(const Case& c) {
  if (!wants(c.name)) return;
  measure_against(c, "eager");
  if (!options_.compiled || peer_ == nullptr) return;
  for (const std::string& variant : c.compiled) measure_against(c, variant);
}

void Session::measure_against(const Case& c, const std::string& variant) {
  const Clock& clock = Clock::real();
  const auto seconds_of = [&](std::int64_t repeats) {
    const double start = clock.now_s();
    for (std::int64_t i = 0; i < repeats; ++i) {
      if (c.elsewhere)
        c.elsewhere(0);
      else
        c.run();
    }
    return clock.now_s() - start;
  };
  seconds_of(1);  // first touch of all memory
  const double once = seconds_of(1);
  const auto repeats = std::max<std::int64_t>(1, std::llround(kSampleS / std::max(once, 1e-7)));
  const bool with_peer =
      peer_ != nullptr && !c.peer.empty() && peer_->set_up(variant + " " + c.peer);
  if (variant != "eager" && !with_peer) return;
  std::vector<double> ours;
  std::vector<double> theirs;
  for (std::int64_t run = 0; run < options_.runs; ++run) {
    if (with_peer) {
      theirs.push_back(c.units / peer_->seconds_of_a_run(kSampleS));
      std::this_thread::sleep_for(kPause);
    }
    const double seconds =
        c.elsewhere ? c.elsewhere(kSampleS) : seconds_of(repeats) / static_cast<double>(repeats);
    ours.push_back(c.units / seconds);
    if (with_peer) std::this_thread::sleep_for(kPause);
  }
  const Spread mine = spread_of(ours);
  const Spread other = with_peer ? spread_of(theirs) : Spread{};
  print(c.name, c.unit, mine, mine.median / c.peak_per_s, c.peak_name, with_peer ? &other : nullptr,
        "pytorch " + variant);
  if (with_peer) peer_->clear();  // its memory may be wanted
}

void Session::compare(const Case& c, const std::function<void()>& other, const std::string& name) {
  if (!wants(c.name)) return;
  const Clock& clock = Clock::real();
  const auto rate_of = [&](const std::function<void()>& run) {
    const double start_s = clock.now_s();
    run();
    const double rate = c.units / (clock.now_s() - start_s);
    std::this_thread::sleep_for(kPause);
    return rate;
  };
  rate_of(c.run);  // first touch of all memory
  rate_of(other);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (std::int64_t run = 0; run < options_.runs; ++run) {
    theirs.push_back(rate_of(other));
    ours.push_back(rate_of(c.run));
  }
  const Spread mine = spread_of(ours);
  const Spread others = spread_of(theirs);
  print(c.name, c.unit, mine, mine.median / c.peak_per_s, c.peak_name, &others, name);
}

void Session::note(const std::string& name, double share, const std::string& of) const {
  if (options_.json)
    fmt::print(R"({{"name":"{}","value":{:.4f},"unit":"share","ratio":{:.4f},"against":"{}"}})"
               "\n",
               name, share, share, of);
  else
    fmt::print("{:<38} {:5.1f} % of {}\n", name, 100 * share, of);
  std::fflush(stdout);
}

void Session::amounts(const std::string& name, const std::string& unit,
                      const std::vector<double>& ours, const std::vector<double>& theirs,
                      const std::string& peer_name) const {
  const Spread mine = spread_of(ours);
  const Spread other = theirs.empty() ? Spread{} : spread_of(theirs);
  if (options_.json) {
    std::string line = fmt::format(
        R"({{"name":"{}","value":{:.6g},"min":{:.6g},"max":{:.6g},"unit":"{}","runs":{})", name,
        mine.median, mine.min, mine.max, unit, ours.size());
    if (!theirs.empty())
      line +=
          fmt::format(R"(,"ratio":{:.4f},"against":"{}","peer_value":{:.6g},"peer_min":{:.6g},)"
                      R"("peer_max":{:.6g})",
                      mine.median / other.median, peer_name, other.median, other.min, other.max);
    fmt::print("{}}}\n", line);
  } else {
    fmt::print("{:<38} {:>9.4g} {:<8} ({:.4g} to {:.4g})", name, mine.median, unit, mine.min,
               mine.max);
    if (!theirs.empty())
      fmt::print("  {:.2f} x {} ({:.4g}, {:.4g} to {:.4g})", mine.median / other.median, peer_name,
                 other.median, other.min, other.max);
    fmt::print("\n");
  }
  std::fflush(stdout);
}

void Session::print(const std::string& name, const std::string& unit, const Spread& ours,
                    double share_of_peak, const std::string& peak_name, const Spread* peer,
                    const std::string& peer_name) const {
  const std::string peak = "machine peak " + peak_name;
  if (options_.json) {
    std::string line = fmt::format(
        R"({{"name":"{}","value":{:.6g},"min":{:.6g},"max":{:.6g},"unit":"{}","runs":{})", name,
        ours.median, ours.min, ours.max, unit, options_.runs);
    if (peer != nullptr)
      line += fmt::format(R"(,"ratio":{:.4f},"against":"{}","peer_value":{:.6g},"peer_min":{:.6g},)"
                          R"("peer_max":{:.6g},"peak_share":{:.4f},"peak":"{}"}})",
                          ours.median / peer->median, peer_name, peer->median, peer->min, peer->max,
                          share_of_peak, peak);
    else
      line += fmt::format(R"(,"ratio":{:.4f},"against":"{}"}})", share_of_peak, peak);
    fmt::print("{}\n", line);
  } else {
    fmt::print("{:<38} {:>9.4g} {:<8} ({:.4g} to {:.4g})  {:5.1f} % of {}", name, ours.median, unit,
               ours.min, ours.max, 100 * share_of_peak, peak);
    if (peer != nullptr)
      fmt::print("; {:.2f} x {} ({:.4g}, {:.4g} to {:.4g})", ours.median / peer->median, peer_name,
                 peer->median, peer->min, peer->max);
    fmt::print("\n");
  }
  std::fflush(stdout);
}

}  // namespace boreal::bench
