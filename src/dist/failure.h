// Failure: a collective cannot end: a rank is missing, ranks disagree on what they are doing, or
// another rank failed. Thrown by collectives and by Event::wait(), because it may come up under any
// layer; caught where the world was started (world.h). Thread rule: a value.
#pragma once

#include <stdexcept>

namespace boreal::dist {

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace boreal::dist
