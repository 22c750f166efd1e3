#include "dist/lane.h"

#include <utility>

#include "base/clock.h"

namespace boreal::dist {

std::int64_t Lane::submit(const Operation& op, Urgency urgency) {
  const std::lock_guard lock(mutex_);
  const auto waiting = static_cast<std::size_t>(submitted_ - done_);
  if (waiting == ring_.size()) {
    std::vector<Operation> larger(2 * ring_.size());
    for (std::int64_t t = done_; t < submitted_; ++t)
      larger[static_cast<std::size_t>(t) % larger.size()] =
          ring_[static_cast<std::size_t>(t) % ring_.size()];
    ring_ = std::move(larger);
  }
  ring_[static_cast<std::size_t>(submitted_) % ring_.size()] = op;
  ++submitted_;
  if (urgency == Urgency::background && !stopped_) {
    background_ = submitted_;
    if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
    changed_.notify_all();
  }
  return submitted_;
}

TrafficRow& Lane::row(const Call& call) {
  const std::string_view operation = name_of(call.kind);
  const std::string_view axis = call.axis.data();
  for (TrafficRow& each : traffic_)
    if (each.axis == axis && each.operation == operation) return each;
  TrafficRow fresh;
  fresh.axis = axis;
  fresh.operation = operation;
  return traffic_.emplace_back(std::move(fresh));
}

// The lock is held on entry and on return, not while the operation runs.
void Lane::run_front(std::unique_lock<std::mutex>& lock) {
  running_ = true;
  const Operation op = front();
  lock.unlock();
  const double start_s = Clock::real().now_s();
  Collectives::Sent sent;
  std::exception_ptr failure;
  try {
    watch_.start(op.call);
    post_.enter(op.call);
    sent = collectives_.run(op);
    post_.leave();
  } catch (...) {
    failure = std::current_exception();
  }
  const double end_s = Clock::real().now_s();
  lock.lock();
  running_ = false;
  if (failure != nullptr) {
    failure_ = failure;
  } else {
    ++done_;
    TrafficRow& counted = row(op.call);
    ++counted.calls;
    counted.messages += sent.messages;
    counted.sent_bytes += sent.bytes;
    counted.busy_s += end_s - start_s;
  }
  changed_.notify_all();
}

void Lane::wait(std::int64_t ticket) {
  std::unique_lock lock(mutex_);
  while (done_ < ticket) {
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    if (stopped_) throw Failure("this rank's collectives have been ended");
    const Call call = front().call;
    const double start_s = Clock::real().now_s();
    if (running_)
      changed_.wait(lock);
    else
      run_front(lock);
    row(call).waited_s += Clock::real().now_s() - start_s;
  }
}

void Lane::drain() {
  std::unique_lock lock(mutex_);
  const std::int64_t last = submitted_;
  lock.unlock();
  wait(last);
}

bool Lane::idle() {
  const std::lock_guard lock(mutex_);
  return done_ == submitted_;
}

void Lane::serve() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (!running_ && done_ < background_ && failure_ == nullptr)
      run_front(lock);
    else
      changed_.wait(lock);
  }
}

void Lane::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Traffic Lane::take_traffic() {
  const std::lock_guard lock(mutex_);
  return std::exchange(traffic_, {});
}

}  // namespace boreal::dist
