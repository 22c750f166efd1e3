// SIGTERM and SIGUSR1: save, exit 75. SIGINT: save, exit 130; a second one stops at once. Only
// training listens to them: in the other stages, which lose nothing, a signal ends the program as
// usual. Thread rule: the main thread, one object at a time.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>

#include "train/trainer.h"

namespace boreal::app {

class StopSignals {
 public:
  // Installs the handlers.
  StopSignals();
  // Gives the signals back to those who had them.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // What the handlers set.
  const std::atomic<train::Stop>* flag() const;

 private:
  std::array<struct sigaction, 3> before_;
};

}  // namespace boreal::app
