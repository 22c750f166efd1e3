// Between a Replica and ckpt/: which tensors a training checkpoint holds and what else must agree
// when it is read again. Tensors: NAME (fp32 master), "first_moment/NAME", "second_moment/NAME".
// Files: config.json, tokenizer.json, resolved.yaml. All ranks of
// the replica's mesh call restore() and save(); what a mesh wrote any other reads.
// Thread rule: the thread that owns the replica.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "train/replica.h"
#include "train/trainer.h"

namespace boreal::train {

struct Progressed {
  std::int64_t step = 0;  // steps done
  std::int64_t tokens = 0;
  double validation_loss = 0;  // latest; not a number if there was none
  double loss = 0;             // of the last step
};

// Restores masters and moments, publishes the weights. Nothing if there is no checkpoint to go on
// from. With resume auto a damaged checkpoint gives a warning and the one before it is taken; a
// named one is an error. Refused: another spec, tokenizer or model. Warned: another ISA or version
// (bits may differ).
Result<std::optional<Progressed>> restore(Env& env, Replica& replica, const TrainInput& input,
                                          const TrainOptions& options,
                                          std::vector<std::string>& warnings);

// OUT/checkpoints/step-N; returns its folder.
Result<std::string> save(Env& env, Replica& replica, const Progressed& at,
                         const spec::CheckpointSpec& spec, const TrainInput& input,
                         const TrainOptions& options);

// Weights only, from a checkpoint or a Hugging Face folder: train.init_from.
Status initialise_from(Env& env, Replica& replica, const std::string& folder);

// Reads a folder of either kind and writes it as a checkpoint of weights at `to`, whole or not at
// all.
Status import_checkpoint(Env& env, const std::string& from, const std::string& to);

}  // namespace boreal::train
