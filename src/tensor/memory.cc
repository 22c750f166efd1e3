#include "tensor/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

namespace boreal::tensor {

namespace {
constexpr std::int64_t kAlign = 64;
constexpr std::int64_t kPage = 4096;
constexpr std::int64_t kHugePage = 2 << 20;
std::int64_t padded(std::int64_t bytes) {
  return (bytes + kAlign - 1) / kAlign * kAlign;
}
}  // namespace

Block::Block(std::int64_t bytes) : bytes_(padded(bytes)) {
  if (bytes_ == 0) return;
  const bool large = bytes_ >= kHugePage;
  // Fresh anonymous pages are zero. A large block takes addresses for one huge page more and gives
  // back what lies before the first and behind its end.
  const std::int64_t spare = large ? kHugePage : 0;
  void* memory = mmap(nullptr, static_cast<std::size_t>(bytes_ + spare), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  if (!large) return;
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const auto before = static_cast<std::int64_t>(-address % static_cast<std::uintptr_t>(kHugePage));
  if (before > 0) munmap(memory, static_cast<std::size_t>(before));
  data_ += before;
  const std::int64_t pages = (bytes_ + kPage - 1) / kPage * kPage;
  if (const std::int64_t behind = bytes_ + spare - before - pages; behind > 0)
    munmap(data_ + pages, static_cast<std::size_t>(behind));
  // A request, not a need: where the system says never, ordinary pages serve.
  madvise(data_, static_cast<std::size_t>(bytes_), MADV_HUGEPAGE);
}

void first_touch(const device::Context& ctx, std::byte* data, std::int64_t bytes) {
  if (ctx.is_meta()) return;
  ctx.pool->split(bytes, kPage, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; at += kPage) {
      // Written, not only read, or the system lends a page of zeros that all share.
      volatile std::byte* byte = data + at;
      *byte = *byte;
    }
  });
}

void first_touch(const device::Context& ctx, const Block& block) {
  first_touch(ctx, block.data(), block.bytes());
}

Block::~Block() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(bytes_));
}

Block::Block(Block&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Block& Block::operator=(Block&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Arena::Arena(std::int64_t bytes) : block_(bytes) {}

void Arena::note_peak() {
  if (tape_used_ + scratch_used_ > peak_) {
    peak_ = tape_used_ + scratch_used_;
    tape_at_peak_ = tape_used_;
  }
  CHECK(is_meta() || tape_used_ + scratch_used_ <= block_.bytes(),
        "the step needs {} bytes, the plan gave {}", tape_used_ + scratch_used_, block_.bytes());
}

Tensor Arena::tape(DType dtype, Shape shape) {
  Tensor tensor(nullptr, dtype, shape);
  const std::int64_t begin = tape_used_;
  tape_used_ += padded(tensor.bytes());
  note_peak();
  if (!is_meta()) tensor.data = block_.data() + begin;
  return tensor;
}

Tensor Arena::scratch(DType dtype, Shape shape) {
  Tensor tensor(nullptr, dtype, shape);
  scratch_used_ += padded(tensor.bytes());
  note_peak();
  if (!is_meta()) tensor.data = block_.data() + block_.bytes() - scratch_used_;
  return tensor;
}

void Arena::tape_release(std::int64_t mark) {
  CHECK_LE(mark, tape_used_);
  tape_used_ = mark;
}

void Arena::scratch_release(std::int64_t mark) {
  CHECK_LE(mark, scratch_used_);
  scratch_used_ = mark;
}

}  // namespace boreal::tensor
