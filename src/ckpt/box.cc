#include "ckpt/box.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace boreal::ckpt {

namespace {

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Boxes as four dims, the missing ones in front: [0, 1).
struct Range4 {
  std::array<std::int64_t, 4> begin{0, 0, 0, 0};
  std::array<std::int64_t, 4> end{1, 1, 1, 1};

  explicit Range4(const Box& box) {
    const std::int64_t missing = 4 - box.shape.rank();
    for (std::int64_t i = 0; i < box.shape.rank(); ++i) {
      begin[index(missing + i)] = box.offset[index(i)];
      end[index(missing + i)] = box.offset[index(i)] + box.shape[i];
    }
  }
  std::int64_t size(std::size_t dim) const { return end[dim] - begin[dim]; }
  // Row (all dims but the last) of an absolute place, counted from this box's first.
  std::int64_t row(std::int64_t i, std::int64_t j, std::int64_t k) const {
    return ((i - begin[0]) * size(1) + (j - begin[1])) * size(2) + (k - begin[2]);
  }
};

Range4 shared_part(const Range4& a, const Range4& b) {
  Range4 out = a;
  for (std::size_t i = 0; i < 4; ++i) {
    out.begin[i] = std::max(a.begin[i], b.begin[i]);
    out.end[i] = std::max(out.begin[i], std::min(a.end[i], b.end[i]));
  }
  return out;
}

}  // namespace

std::string Box::text() const {
  return fmt::format("[{}]+{}", fmt::join(offset, ", "), shape.text());
}

std::string fault_of(const Box& box, const tensor::Shape& whole) {
  if (box.shape.rank() != whole.rank() || box.offset.size() != index(whole.rank()))
    return fmt::format("box {} has not the {} dims of {}", box.text(), whole.rank(), whole.text());
  for (std::int64_t i = 0; i < whole.rank(); ++i) {
    // Written so that no sum of hostile numbers can overflow.
    const std::int64_t offset = box.offset[index(i)];
    if (offset < 0 || box.shape[i] < 0 || offset > whole[i] || box.shape[i] > whole[i] - offset)
      return fmt::format("box {} reaches out of {}", box.text(), whole.text());
  }
  return "";
}

bool overlap(const Box& a, const Box& b) {
  const Range4 part = shared_part(Range4(a), Range4(b));
  return part.size(0) > 0 && part.size(1) > 0 && part.size(2) > 0 && part.size(3) > 0;
}

std::string coverage_fault(std::span<const Box> boxes, const tensor::Shape& whole) {
  std::vector<const Box*> order;
  for (const Box& box : boxes) order.push_back(&box);
  // Along the first dim a box can only meet those that begin before it ends.
  const auto first = [](const Box* box) { return box->offset.empty() ? 0 : box->offset[0]; };
  const auto last = [&](const Box* box) {
    return box->offset.empty() ? 1 : box->offset[0] + box->shape[0];
  };
  std::ranges::stable_sort(order, {}, first);
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t j = i + 1; j < order.size() && first(order[j]) < last(order[i]); ++j) {
      if (overlap(*order[i], *order[j]))
        return fmt::format("boxes {} and {} overlap", order[i]->text(), order[j]->text());
    }
  }
  std::int64_t elements = 0;  // of disjoint boxes inside `whole`, so no overflow
  for (const Box& box : boxes) elements += box.shape.elements();
  if (elements != whole.elements())
    return fmt::format("its {} boxes hold {} of the {} elements of {}", boxes.size(), elements,
                       whole.elements(), whole.text());
  return "";
}

void copy_shared(const Box& from, const std::byte* source, const Box& to,
                 const tensor::Tensor& into) {
  const Range4 a(from);
  const Range4 b(to);
  const Range4 part = shared_part(a, b);
  const auto width = static_cast<std::int64_t>(bytes_of(into.dtype));
  auto* target = static_cast<std::byte*>(into.data);
  const std::int64_t run = part.size(3);
  if (run == 0) return;
  for (std::int64_t i = part.begin[0]; i < part.end[0]; ++i) {
    for (std::int64_t j = part.begin[1]; j < part.end[1]; ++j) {
      for (std::int64_t k = part.begin[2]; k < part.end[2]; ++k) {
        const std::int64_t at_source = a.row(i, j, k) * a.size(3) + part.begin[3] - a.begin[3];
        const std::int64_t at_target =
            b.row(i, j, k) * into.row_stride + part.begin[3] - b.begin[3];
        std::memcpy(target + at_target * width, source + at_source * width, index(run * width));
      }
    }
  }
}

}  // namespace boreal::ckpt
