// Saving a checkpoint in two phases. Everything is written and synced under root/.step-N.tmp/, the
// manifest last; one rename to root/step-N/ commits. A save that is killed or fails at any moment
// leaves the checkpoints before it untouched.
//
// save() does it. Its three phases, with a barrier between them: rank 0 begin_save; every rank
// write_rank; rank 0 commit_save, which merges what the ranks say they wrote. Disk trouble is an
// Error of kind failed; wrong calls are CHECKs. Thread rule: the pieces' memory must not change
// during the call; one save at a time in a root (folder.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "ckpt/manifest.h"
#include "dist/group.h"
#include "tensor/tensor.h"

namespace boreal::ckpt {

// What one rank holds of a logical tensor. Padding that a layout adds is no part of it: another
// layout could not load it.
struct Piece {
  std::string name;
  tensor::Shape global_shape;
  std::vector<std::int64_t> offset;  // of the box's first element, one number a dim
  tensor::Tensor data;               // dense; its shape is the box's
};

// The piece that is all of the tensor.
Piece whole(std::string name, const tensor::Tensor& data);

// A file kept beside the tensors, such as resolved.yaml. The name is a plain one.
struct ExtraFile {
  std::string name;
  std::string content;
};

struct SaveOptions {
  std::int64_t keep = 0;       // checkpoints up to this step that stay, this one included; 0: all
  bool keep_best = false;      // the one with the smallest loss stays too
  std::optional<double> loss;  // of this one
  std::vector<ExtraFile> files;
  Origin origin;
};

struct Saved {
  std::string dir;
  std::int64_t bytes = 0;             // of all its files
  std::vector<std::string> removed;   // folders of older checkpoints that are no longer kept
  std::vector<std::string> warnings;  // the checkpoint is safe, but tidying up after it failed
};

// meta_json: a JSON object of the caller's, as options rank 0's counts. The pieces of all ranks
// must make up each tensor exactly once. On every rank of the group; the error of one is
// everybody's.
Result<Saved> save(Env& env, const dist::Group& ranks, const std::string& root, std::int64_t step,
                   std::span<const Piece> pieces, const std::string& meta_json,
                   const SaveOptions& options);
// By this rank alone.
Result<Saved> save(Env& env, const std::string& root, std::int64_t step,
                   std::span<const Piece> pieces, const std::string& meta_json,
                   const SaveOptions& options);

// Bytes of the file that holds these pieces.
std::int64_t data_file_bytes(std::span<const Piece> pieces);

// Phase 1, rank 0: clears what killed saves left, checks that `bytes` (all ranks' files) and 5 %
// are free, makes the stage. Returns its path.
Result<std::string> begin_save(Env& env, const std::string& root, std::int64_t step,
                               std::int64_t bytes);
// Phase 2, every rank: writes and syncs its data file, then its vote.
Status write_rank(Env& env, const std::string& stage, std::int64_t step, std::int64_t rank,
                  std::span<const Piece> pieces);
// Phase 3, rank 0: merges the votes, writes the rest, commits, removes what is no longer kept.
Result<Saved> commit_save(Env& env, const std::string& root, std::int64_t step, std::int64_t ranks,
                          const std::string& meta_json, const SaveOptions& options);
// Instead of phase 3 if any rank failed: removes the stage as far as it can.
void abandon_save(Env& env, const std::string& root, std::int64_t step);

}  // namespace boreal::ckpt
