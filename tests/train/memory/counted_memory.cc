#include "tests/train/memory/counted_memory.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace boreal::counted {

namespace {

std::atomic<bool> counting{false};
std::atomic<std::int64_t> calls{0};
std::atomic<std::int64_t> bytes{0};
std::atomic<std::int64_t> largest{0};

[[maybe_unused]] void note(std::size_t size) {
  if (!counting.load(std::memory_order_relaxed)) return;
  const auto asked = static_cast<std::int64_t>(size);
  calls.fetch_add(1);
  bytes.fetch_add(asked);
  std::int64_t before = largest.load();
  while (before < asked && !largest.compare_exchange_weak(before, asked)) {
  }
}

}  // namespace

void start() {
  calls = bytes = largest = 0;
  counting = true;
}

Count stop() {
  counting = false;
  return {calls, bytes, largest};
}

}  // namespace boreal::counted

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

bool boreal::counted::available() {
  return false;
}

#else

bool boreal::counted::available() {
  return true;
}

// The library's own, under the names by which it calls them itself; and ours, under the names by
// which everybody else does.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* counted_plain(std::size_t size) __asm__("malloc");
void* counted_zeroed(std::size_t count, std::size_t size) __asm__("calloc");
void* counted_resized(void* memory, std::size_t size) __asm__("realloc");
void* counted_memalign(std::size_t alignment, std::size_t size) __asm__("memalign");
void* counted_aligned(std::size_t alignment, std::size_t size) __asm__("aligned_alloc");
int counted_posix(void** memory, std::size_t alignment, std::size_t size) __asm__("posix_memalign");
void* counted_mapped(void* address, std::size_t size, int protection, int flags, int fd,
                     off_t offset) __asm__("mmap");

void* counted_plain(std::size_t size) {
  boreal::counted::note(size);
  return __libc_malloc(size);
}
void* counted_zeroed(std::size_t count, std::size_t size) {
  boreal::counted::note(count * size);
  return __libc_calloc(count, size);
}
void* counted_resized(void* memory, std::size_t size) {
  boreal::counted::note(size);
  return __libc_realloc(memory, size);
}
void* counted_memalign(std::size_t alignment, std::size_t size) {
  boreal::counted::note(size);
  return __libc_memalign(alignment, size);
}
void* counted_aligned(std::size_t alignment, std::size_t size) {
  boreal::counted::note(size);
  return __libc_memalign(alignment, size);
}
int counted_posix(void** memory, std::size_t alignment, std::size_t size) {
  boreal::counted::note(size);
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
void* counted_mapped(void* address, std::size_t size, int protection, int flags, int fd,
                     off_t offset) {
  boreal::counted::note(size);
  const long at = ::syscall(SYS_mmap, address, size, protection, flags, fd, offset);
  return reinterpret_cast<void*>(at);
}
}

#endif
