#include "nn/parameter.h"

namespace boreal::nn {

std::vector<Segment> Parameter::held() const {
  if (!segments.empty()) return segments;
  return {{.begin = 0, .count = shape[split_dim]}};
}

tensor::Shape Parameter::local_shape() const {
  std::int64_t count = segments.empty() ? shape[split_dim] : 0;
  for (const Segment& segment : segments) count += segment.count;
  if (!is_matrix()) return tensor::Shape{count};
  return split_dim == 0 ? tensor::Shape{count, shape[1]} : tensor::Shape{shape[0], count};
}

Segment even_part(std::int64_t size, const dist::Group& group, std::int64_t begin) {
  const std::int64_t first = group.begin(size, group.rank());
  return {.begin = begin + first, .count = group.begin(size, group.rank() + 1) - first};
}

}  // namespace boreal::nn
