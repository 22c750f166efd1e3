// The units of one stage, shared out among ranks without a message between them. A rank makes its
// own units first, by the hash of their names, then whatever is left and nobody has in hand: so a
// rank that died or never came costs time and nothing else. Any number of ranks, in any order, also
// one after the other, makes the same files, because a unit is a function of the inputs alone.
// Thread rule: one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "prep/outputs.h"
#include "prep/prep.h"

namespace boreal::prep {

// Which of the ranks makes the unit if all are there.
std::int64_t owner_of(std::string_view unit, std::int64_t ranks);

struct WorkList {
  std::string stage;
  std::vector<std::string> units;
  std::function<bool(std::size_t)> is_done;
  std::function<Status(std::size_t)> make;  // after it is_done, for every rank
  std::string missing;                      // the file that others wait for; {} is the unit
};

// Returns when all units are done, whoever made them. Kind try_again if the others finished the
// whole prep meanwhile (folder_finished), or if for options.wait_s nothing was done that others
// have in hand.
Status complete(const WorkList& list, Outputs& outputs, const PrepOptions& options,
                const std::function<bool()>& folder_finished);

}  // namespace boreal::prep
