// Regions: where elements that this rank holds of a parameter lie in the whole parameter. A range
// of its local elements is cut into boxes that are dense both here and in the whole; checkpoints
// and initial draws work on them. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/parameter.h"

namespace boreal::parallel {

struct Region {
  std::vector<std::int64_t> offset;  // of its first element in the whole, one number a dim
  tensor::Shape shape;
  std::int64_t begin = 0;    // its first element, counted in the local parameter
  bool first_holder = true;  // nn::Segment::first_holder

  // Index in the whole parameter (row-major) of the first element of row `row` of the region.
  std::int64_t global_index(const nn::Parameter& p, std::int64_t row) const;
};

// Of local elements [begin, begin + count), in rising order.
std::vector<Region> regions_of(const nn::Parameter& p, std::int64_t begin, std::int64_t count);
// Of all that is held here.
std::vector<Region> regions_of(const nn::Parameter& p);

}  // namespace boreal::parallel
