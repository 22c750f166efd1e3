#include "prep/work_list.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <thread>

#include "base/hash.h"

namespace boreal::prep {

namespace {

constexpr double kPauseMin_s = 0.001;
constexpr double kPauseMax_s = 0.2;

// Own units first, then those of the next rank: ranks that help do not all begin with the same.
std::vector<std::size_t> order_for(const WorkList& list, const PrepOptions& options) {
  std::vector<std::size_t> order(list.units.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto distance = [&](std::size_t unit) {
    return (owner_of(list.units[unit], options.ranks) + options.ranks - options.rank) %
           options.ranks;
  };
  std::ranges::stable_sort(order, {}, distance);
  return order;
}

Error too_long(const WorkList& list, std::size_t unit, const Outputs& outputs,
               const PrepOptions& options) {
  const std::string& name = list.units[unit];
  return {fmt::format(
              "{} of '{}', a unit of rank {} of {}: another process holds {}, and for {:.0f} s "
              "nothing was finished; {} is missing. End what hangs there and run the same command "
              "again: it completes what is missing",
              list.stage, name, owner_of(name, options.ranks), options.ranks,
              outputs.claim_path(list.stage + "/" + name), options.wait_s,
              outputs.path(fmt::format(fmt::runtime(list.missing), name))),
          ErrorKind::try_again};
}

}  // namespace

std::int64_t owner_of(std::string_view unit, std::int64_t ranks) {
  return static_cast<std::int64_t>(xxh3_64(unit) % static_cast<std::uint64_t>(ranks));
}

Status complete(const WorkList& list, Outputs& outputs, const PrepOptions& options,
                const std::function<bool()>& folder_finished) {
  std::vector<std::size_t> open = order_for(list, options);
  double last_s = options.clock->now_s();
  double pause_s = kPauseMin_s;
  while (true) {
    std::vector<std::size_t> in_other_hands;
    for (const std::size_t unit : open) {
      if (list.is_done(unit)) continue;
      if (options.ranks > 1 && folder_finished())
        return Error{"other ranks finished the prep meanwhile", ErrorKind::try_again};
      ASSIGN_OR_RETURN(const auto claim, outputs.claim(list.stage + "/" + list.units[unit]));
      if (!claim) {
        in_other_hands.push_back(unit);
      } else if (!list.is_done(unit)) {  // it may have been done before the claim was free
        RETURN_IF_ERROR(list.make(unit));
      }
    }
    if (in_other_hands.empty()) return Done{};
    if (in_other_hands.size() < open.size()) {
      last_s = options.clock->now_s();
      pause_s = kPauseMin_s;
    } else if (options.clock->now_s() - last_s > options.wait_s) {
      return too_long(list, in_other_hands.front(), outputs, options);
    }
    open = std::move(in_other_hands);
    std::this_thread::sleep_for(std::chrono::duration<double>(pause_s));
    pause_s = std::min(2 * pause_s, kPauseMax_s);
  }
}

}  // namespace boreal::prep
