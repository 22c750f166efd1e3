// Traffic: what this rank's collectives moved and how long they took, by mesh axis and operation.
// Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boreal::dist {

struct TrafficRow {
  std::string axis;       // of the group: "dp_shard", "tp", ...
  std::string operation;  // "all_reduce", ...
  std::int64_t calls = 0;
  std::int64_t messages = 0;    // to other ranks; a large one that travels in pieces counts once
  std::int64_t sent_bytes = 0;  // by this rank; the payload, without headers
  double busy_s = 0;            // running, whether or not anybody waited for it
  double waited_s = 0;          // the caller stood still: the part that was not hidden
};

using Traffic = std::vector<TrafficRow>;  // in the order of first use

}  // namespace boreal::dist
