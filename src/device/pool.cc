#include "device/pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"
#include "device/profile.h"

namespace boreal::device {

namespace {

// Thread i on the i-th processor of this process, while there are some.
Placement in_order(std::int64_t threads, bool pin) {
  Placement placement{.threads = threads};
  if (pin) placement.pins = own_mask();
  return placement;
}

// Spins a little before sleeping: kernels follow each other within microseconds, a futex wake costs
// tens of them.
constexpr int kSpins = 4000;

inline void relax() {
  __builtin_ia32_pause();
}

}  // namespace

struct Pool::Workers {
  std::vector<std::thread> threads;
  std::vector<int> mask_before;  // of the calling thread
  std::atomic<std::uint64_t> generation{0};
  std::atomic<std::int64_t> running{0};
  const Task<std::int64_t>* task = nullptr;
  Profile* profile = nullptr;
  bool stop = false;
  std::mutex mutex;
  std::condition_variable wake;

  void work(std::int64_t part, const std::vector<int>& pins) {
    if (part < std::ssize(pins)) (void)set_own_mask({&pins[static_cast<std::size_t>(part)], 1});
    std::uint64_t seen = 0;
    while (true) {
      for (int i = 0; i < kSpins && generation.load(std::memory_order_acquire) == seen; ++i)
        relax();
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      ++seen;
      if (stop) return;
      (*task)(part);
      running.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  void start_generation() {
    {
      const std::lock_guard lock(mutex);
      generation.fetch_add(1, std::memory_order_acq_rel);
    }
    wake.notify_all();
  }

  void run(Task<std::int64_t> next) {
    const auto others = static_cast<std::int64_t>(threads.size());
    if (others == 0) return next(0);
    task = &next;
    running.store(others, std::memory_order_release);
    start_generation();
    next(0);
    for (int spins = 0; running.load(std::memory_order_acquire) > 0;) {
      // On an oversubscribed machine the other thread may not be running at all: give it the
      // processor.
      if (++spins > kSpins) std::this_thread::yield();
      relax();
    }
  }

  // All of a split by the calling thread.
  void alone(std::int64_t items, Task<std::int64_t, std::int64_t> whole) {
    if (items == 0) return;
    const double begin_s = profile != nullptr ? profile->now_s() : 0;
    whole(0, items);
    if (profile != nullptr) profile->work(0, begin_s);
  }

  void join() {
    stop = true;
    start_generation();
    for (std::thread& thread : threads) thread.join();
  }
};

Pool::Pool(const Placement& placement) : workers_(std::make_unique<Workers>()) {
  CHECK_GE(placement.threads, 1);
  try {
    for (std::int64_t i = 1; i < placement.threads; ++i)
      workers_->threads.emplace_back(
          [workers = workers_.get(), i, pins = placement.pins] { workers->work(i, pins); });
  } catch (...) {
    workers_->join();
    throw;
  }
  if (placement.pins.empty() || placement.share.empty()) return;
  workers_->mask_before = own_mask();
  (void)set_own_mask(placement.share);
}

Pool::Pool(std::int64_t threads, bool pin) : Pool(in_order(threads, pin)) {}

Result<std::unique_ptr<Pool>> Pool::start(const Placement& placement) {
  try {
    return std::make_unique<Pool>(placement);
  } catch (const std::system_error& error) {
    return failed(
        "cannot start {} threads: {}; set threads lower, or raise the limit of processes (ulimit "
        "-u)",
        placement.threads, error.code().message());
  }
}

Result<std::unique_ptr<Pool>> Pool::start(std::int64_t threads, bool pin) {
  return start(in_order(threads, pin));
}

Pool::~Pool() {
  workers_->join();
  if (!workers_->mask_before.empty()) (void)set_own_mask(workers_->mask_before);
}

std::int64_t Pool::threads() const {
  return static_cast<std::int64_t>(workers_->threads.size()) + 1;
}

void Pool::run(Task<std::int64_t> task) {
  if (workers_->profile == nullptr) return workers_->run(task);
  const auto recorded = [&](std::int64_t part) {
    const double begin_s = workers_->profile->now_s();
    task(part);
    workers_->profile->work(part, begin_s);
  };
  workers_->run(recorded);
}

void Pool::watch(Profile* profile) {
  if (profile != nullptr) CHECK_GE(profile->threads(), threads());
  workers_->profile = profile;
}

void Pool::split(std::int64_t items, std::int64_t grain, Task<std::int64_t, std::int64_t> task) {
  CHECK_GE(grain, 1);
  const std::int64_t grains = (items + grain - 1) / grain;
  const std::int64_t parts = threads();
  if (grains <= 1 || parts == 1) {
    return workers_->alone(items, task);
  }
  run([&](std::int64_t part) {
    const std::int64_t begin = std::min(items, grains * part / parts * grain);
    const std::int64_t end = std::min(items, grains * (part + 1) / parts * grain);
    if (begin < end) task(begin, end);
  });
}

void Pool::split_guided(std::int64_t items, std::int64_t grain,
                        Task<std::int64_t, std::int64_t> task) {
  CHECK_GE(grain, 1);
  const std::int64_t grains = (items + grain - 1) / grain;
  const std::int64_t parts = threads();
  if (grains <= 1 || parts == 1) {
    return workers_->alone(items, task);
  }
  std::atomic<std::int64_t> next{0};
  run([&](std::int64_t) {
    for (std::int64_t begin = next.load(std::memory_order_relaxed); begin < grains;) {
      const std::int64_t take = std::max<std::int64_t>(1, (grains - begin) / (2 * parts));
      if (!next.compare_exchange_weak(begin, begin + take, std::memory_order_relaxed)) continue;
      task(begin * grain, std::min(items, (begin + take) * grain));
      begin = next.load(std::memory_order_relaxed);
    }
  });
}

}  // namespace boreal::device
