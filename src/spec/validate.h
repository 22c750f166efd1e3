// What a spec must satisfy, as complaints that name their keys, so that the reader can say where
// they were set. Internal to spec/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "spec/run_spec.h"

namespace boreal::spec {

struct Complaint {
  std::vector<std::string>
      keys;             // those that disagree; the one set last is named, the first of equals
  std::string message;  // a sentence that names keys and values
};

std::optional<Complaint> first_complaint(const RunSpec& spec);

}  // namespace boreal::spec
