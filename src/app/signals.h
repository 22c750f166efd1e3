// SIGTERM and SIGUSR1: save, exit 75. SIGINT: save, exit 130; a second one stops at once. Thread
// rule: install once, from main.
#pragma once

#include <atomic>

#include "train/trainer.h"

namespace boreal::app {

// Installs the handlers and returns the flag that they set.
const std::atomic<train::Stop>* install_stop_signals();

}  // namespace boreal::app
