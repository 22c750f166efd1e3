// The folder of a run's checkpoints: which there are, which are whole, which go.
//
//   step-N/         a committed checkpoint
//   .step-N.tmp/    a save that has not committed: never read, removed by the next save
//   .old-step-N/    a step-N that is being replaced; counts as step-N while there is no other
//   .trash-*        being deleted: never read, removed by the next save
//
// One process writes in the folder at a time (the caller locks its output folder); any number may
// read. Thread rule: free functions, one at a time on one folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"

namespace boreal::ckpt {

struct Found {
  std::int64_t step = 0;
  std::string dir;
  std::string damage;          // why it cannot be used; "" if its manifest and sizes are right
  std::optional<double> loss;  // of a whole one that was saved with it
};

// All checkpoints, newest (highest step) first. A folder whose manifest is broken is listed with
// its damage. A root that does not exist holds none.
Result<std::vector<Found>> list(Env& env, const std::string& root);

struct Newest {
  std::string dir;  // "" if there is no checkpoint at all
  std::int64_t step = 0;
  std::vector<std::string> warnings;  // one for each newer one that is damaged
};

// The newest checkpoint of which every byte verifies. Refused if there are checkpoints and all of
// them are damaged: starting afresh is then a person's decision.
Result<Newest> newest_whole(Env& env, const std::string& root);

// Removes the checkpoints of steps after `step`: they belong to a history that a resume from an
// older one has left. Returns their folders.
Result<std::vector<std::string>> remove_newer(Env& env, const std::string& root, std::int64_t step);

// Paths of the protocol.
std::string committed_dir(const std::string& root, std::int64_t step);
std::string stage_dir(const std::string& root, std::int64_t step);
std::string replaced_dir(const std::string& root, std::int64_t step);

// Renames to .trash-*, then removes: a reader never sees half a checkpoint.
Status discard(Env& env, const std::string& root, const std::string& dir);

// Puts the folder in order after a killed save: a replaced checkpoint comes back if its successor
// did not commit; stages and trash go.
Status clean_leftovers(Env& env, const std::string& root);

}  // namespace boreal::ckpt
