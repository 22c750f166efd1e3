// The figures of a command for programs: with --json the last line of stdout is one JSON object.
// Thread rule: the main thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/arguments.h"

namespace boreal::app {

// Nothing without --json. Bytes that are no UTF-8 are replaced.
void print_figures(const Arguments& args, const nlohmann::ordered_json& figures);

}  // namespace boreal::app
