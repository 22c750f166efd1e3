// Box: an axis-parallel part of a logical tensor, by the offset of its first element and its shape.
// A checkpoint stores tensors as boxes and is asked for boxes, so whatever mesh wrote it, any other
// reads it. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace boreal::ckpt {

struct Box {
  std::vector<std::int64_t> offset;  // one number a dim
  tensor::Shape shape;

  std::string text() const;  // "[0, 4]+[2, 8]"
};

// Why the box is no part of a tensor of this shape; "" if it is one.
std::string fault_of(const Box& box, const tensor::Shape& whole);

// Why the boxes (each a part of `whole`) do not make it up exactly once; "" if they do.
std::string coverage_fault(std::span<const Box> boxes, const tensor::Shape& whole);

bool overlap(const Box& a, const Box& b);

// Copies what `from` and `to` share. `source` holds the elements of `from`, dense; `into` has the
// shape of `to`, its rows may be strided.
void copy_shared(const Box& from, const std::byte* source, const Box& to,
                 const tensor::Tensor& into);

}  // namespace boreal::ckpt
