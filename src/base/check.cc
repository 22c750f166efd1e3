#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace boreal {

void check_failed(const char* file, int line, const char* condition, const std::string& detail) {
  std::fprintf(stderr, "boreal: bug: %s:%d: CHECK(%s) failed%s%s\n", file, line, condition,
               detail.empty() ? "" : ": ", detail.c_str());
  std::fflush(nullptr);
  std::abort();
}

}  // namespace boreal
