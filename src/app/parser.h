// The parser of the command line: what each verb takes (arguments.cc), what its complaints become
// (command_line.cc). Thread rule: the main thread.
#pragma once

#include "app/arguments.h"

namespace CLI {
class App;
}

namespace boreal::app {

// Adds all verbs; parsing fills `args`, which must outlive `app`.
void build_parser(CLI::App& app, Arguments& args);

}  // namespace boreal::app
