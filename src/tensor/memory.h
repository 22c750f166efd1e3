// Block: owned, zeroed memory, aligned to 64 bytes; a large one begins on a huge page and is made
// of them where the system gives any, else of ordinary ones.
// Arena: the memory of a step. Two stacks in one block grow towards each other: `tape` holds what
// the backward pass needs, `scratch` what a layer needs while it runs. A meta arena hands out no
// memory and records the high-water mark; the real arena is then made exactly that large, so the
// planned peak is the peak. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/context.h"
#include "tensor/tensor.h"

namespace boreal::tensor {

class Block {
 public:
  Block() = default;
  explicit Block(std::int64_t bytes);
  ~Block();
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// Puts fresh memory in place before it is needed: each thread of the pool touches the part that it
// gets of `bytes` bytes when work is cut by Pool::split, so that on a machine of several memory
// nodes it lies at the node whose threads will work on it. The memory keeps its values.
void first_touch(const device::Context& ctx, std::byte* data, std::int64_t bytes);
void first_touch(const device::Context& ctx, const Block& block);

class Arena {
 public:
  // Records only.
  Arena() = default;
  // Hands out `bytes`; asking for more is a bug (the plan was wrong).
  explicit Arena(std::int64_t bytes);

  Tensor tape(DType dtype, Shape shape);
  Tensor scratch(DType dtype, Shape shape);

  // Frees all that was taken from one stack since the mark.
  std::int64_t tape_mark() const { return tape_used_; }
  void tape_release(std::int64_t mark);
  std::int64_t scratch_mark() const { return scratch_used_; }
  void scratch_release(std::int64_t mark);

  const Block& block() const { return block_; }
  bool is_meta() const { return block_.data() == nullptr; }
  // Largest sum of both stacks so far, and the tape's part of it.
  std::int64_t peak_bytes() const { return peak_; }
  std::int64_t tape_at_peak_bytes() const { return tape_at_peak_; }

 private:
  void note_peak();

  Block block_;
  std::int64_t tape_used_ = 0;
  std::int64_t scratch_used_ = 0;
  std::int64_t peak_ = 0;
  std::int64_t tape_at_peak_ = 0;
};

// Scratch taken while the object lives is given back when it goes.
class ScratchScope {
 public:
  explicit ScratchScope(Arena& arena) : arena_(arena), mark_(arena.scratch_mark()) {}
  ~ScratchScope() { arena_.scratch_release(mark_); }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  Arena& arena_;
  std::int64_t mark_;
};

}  // namespace boreal::tensor
