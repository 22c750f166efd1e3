// Text as one word of a POSIX shell. Thread rule: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace boreal::app {

// As it is where no character has a meaning to the shell, else in single quotes.
std::string in_shell_quotes(std::string_view text);

}  // namespace boreal::app
