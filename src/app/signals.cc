#include "app/signals.h"

#include <unistd.h>

namespace boreal::app {

namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGUSR1};

std::atomic<train::Stop> stop{train::Stop::none};
static_assert(std::atomic<train::Stop>::is_always_lock_free,
              "a signal handler may touch lock-free atomics only");

void on_signal(int signal) {
  if (signal == SIGINT) {
    if (stop.exchange(train::Stop::save_and_end) == train::Stop::save_and_end) _exit(130);
  } else {
    stop.store(train::Stop::save_and_requeue);
  }
}

}  // namespace

StopSignals::StopSignals() {
  stop.store(train::Stop::none);
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

const std::atomic<train::Stop>* StopSignals::flag() const {
  return &stop;
}

}  // namespace boreal::app
