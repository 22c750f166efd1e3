// Counts what this program asks the system's library for: this program's own malloc, calloc,
// realloc, posix_memalign, aligned_alloc, memalign and mmap stand before the library's. Thread
// rule: any thread.
#pragma once

#include <cstdint>

namespace boreal::counted {

struct Count {
  std::int64_t calls = 0;
  std::int64_t bytes = 0;
  std::int64_t largest_bytes = 0;
};

// False where a sanitizer has put its own in their place.
bool available();
void start();
// Of all threads since start().
Count stop();

}  // namespace boreal::counted
