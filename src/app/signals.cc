#include "app/signals.h"

#include <unistd.h>
#include <csignal>

namespace boreal::app {

namespace {

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

const std::atomic<train::Stop>* install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  return &stop;
}

}  // namespace boreal::app
