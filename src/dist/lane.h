// Lane: the collectives of one rank, run one after the other in the order of the calls: by the
// thread that waits for them, or by the communication thread where one was asked for in the
// background. The first Failure closes the lane: nothing after it runs, and every later wait throws
// it. Thread rule: submit() and wait() from the thread of the rank.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "dist/board.h"
#include "dist/collectives.h"
#include "dist/traffic.h"
#include "dist/watch.h"

namespace boreal::dist {

class Lane {
 public:
  Lane(Watch& watch, Post& post) : watch_(watch), post_(post) {}
  ~Lane() { stop(); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Returns the ticket to wait with.
  std::int64_t submit(const Operation& op, Urgency urgency);
  void wait(std::int64_t ticket);
  // Waits for all that was submitted; throws.
  void drain();
  // Nothing is waiting or running.
  bool idle();
  // Drops what has not begun and ends the communication thread. What runs is waited for.
  void stop();

  Traffic take_traffic();

 private:
  void run_front(std::unique_lock<std::mutex>& lock);
  void serve();
  TrafficRow& row(const Call& call);
  Operation& front() { return ring_[static_cast<std::size_t>(done_) % ring_.size()]; }

  Watch& watch_;
  Post& post_;
  Collectives collectives_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Operation> ring_ = std::vector<Operation>(64);  // of tickets done_ + 1 .. submitted_
  std::int64_t submitted_ = 0;
  std::int64_t done_ = 0;
  std::int64_t background_ = 0;  // the communication thread runs up to this ticket
  bool running_ = false;
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
  Traffic traffic_;
};

}  // namespace boreal::dist
