// The parser of the command line: what each verb takes (arguments.cc), what its complaints become
// (command_line.cc). Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>

#include "app/arguments.h"

namespace boreal::app {

// Adds all verbs; parsing fills `args`, which must outlive `app`.
void build_parser(CLI::App& app, Arguments& args);

}  // namespace boreal::app
