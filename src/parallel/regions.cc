#include "parallel/regions.h"

#include <algorithm>

namespace boreal::parallel {

using tensor::Shape;

namespace {

// A region of `rows` local rows from `row` on, columns [column, column + columns), of a segment
// whose first row here is `local`.
Region region(const nn::Parameter& p, const nn::Segment& segment, std::int64_t local,
              std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns) {
  const std::int64_t width = p.is_matrix() ? p.local_shape()[1] : 1;
  Region out{.begin = row * width + column, .first_holder = segment.first_holder};
  const bool by_rows = p.split_dim == 0;
  const std::int64_t first_row = by_rows ? segment.begin + row - local : row;
  if (p.is_matrix()) {
    out.offset = {first_row, by_rows ? column : segment.begin + column};
    out.shape = Shape{rows, columns};
  } else {
    out.offset = {first_row};
    out.shape = Shape{rows};
  }
  return out;
}

}  // namespace

std::int64_t Region::global_index(const nn::Parameter& p, std::int64_t row) const {
  if (!p.is_matrix()) return offset[0] + row;
  return (offset[0] + row) * p.shape[1] + offset[1];
}

std::vector<Region> regions_of(const nn::Parameter& p, std::int64_t begin, std::int64_t count) {
  const std::int64_t width = p.is_matrix() ? p.local_shape()[1] : 1;
  const std::vector<nn::Segment> held = p.held();
  CHECK(p.split_dim == 0 || held.size() == 1, "{}: columns in {} runs", p.name, held.size());
  std::vector<Region> out;
  const std::int64_t end = begin + count;
  std::int64_t local = 0;
  for (const nn::Segment& segment : held) {
    const std::int64_t rows = p.split_dim == 0 ? segment.count : p.shape[0];
    std::int64_t at = std::max(begin, local * width);
    const std::int64_t last = std::min(end, (local + rows) * width);
    while (at < last) {
      const std::int64_t row = at / width;
      const std::int64_t column = at % width;
      if (column != 0 || last - at < width) {  // a part of one row
        const std::int64_t n = std::min(width - column, last - at);
        out.push_back(region(p, segment, local, row, 1, column, n));
        at += n;
      } else {
        const std::int64_t whole = (last - at) / width;
        out.push_back(region(p, segment, local, row, whole, 0, width));
        at += whole * width;
      }
    }
    local += rows;
  }
  return out;
}

std::vector<Region> regions_of(const nn::Parameter& p) {
  return regions_of(p, 0, p.local_shape().elements());
}

}  // namespace boreal::parallel
