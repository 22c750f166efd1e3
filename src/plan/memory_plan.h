// The memory of a training step, known before it runs: the same model and the same step are run on
// the meta device, where shapes flow and nothing is computed, and the arena's high-water mark is
// read off.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/decoder.h"
#include "parallel/sharded_state.h"

namespace boreal::plan {

struct StepShape {
  std::int64_t rows = 1;        // sequences of a micro-batch
  std::int64_t batch_rows = 0;  // of a rank's part of a step; 0: `rows`
  std::int64_t sequence = 1;    // tokens of a sequence
  spec::RecomputeByBlock recompute;
  bool sequence_parallel = false;
  bool moments_in_file = false;  // their memory is the file's (parallel/sharded_state.h)
  std::int64_t threads = 1;      // attention scratch is per thread
  std::int64_t bucket_elements = parallel::kBucketElements;  // parallel/flat_layout.h
};

struct MemoryPlan {
  std::int64_t weights_bytes = 0;  // plain forms, and constant tables
  std::int64_t packed_bytes = 0;   // packed for the matrix products
  std::int64_t masters_bytes = 0;  // of this rank's slices, as the moments are
  std::int64_t moments_bytes = 0;  // 0 where they lie in a file
  std::int64_t gradients_bytes = 0;
  // Of the step's arena, at the moment at which the sum of both is largest.
  std::int64_t activations_bytes = 0;  // what backward needs: the tape
  std::int64_t workspace_bytes = 0;    // what layers need while they run: the scratch
  std::int64_t data_bytes = 0;         // a step's batch, and the micro-batch as the model reads it
  std::int64_t communication_bytes = 0;  // weights and sums on their way between ranks

  std::int64_t file_bytes = 0;  // moments in a file: no part of the total

  std::int64_t arena_bytes() const { return activations_bytes + workspace_bytes; }
  std::int64_t total_bytes() const;
  // Class and bytes, in the order in which people ask.
  std::vector<std::pair<std::string, std::int64_t>> classes() const;
};

// Of one rank: the one that the model and groups were made for. They may be imagined.
MemoryPlan plan_training(const model::Decoder& model, const StepShape& shape,
                         const parallel::DataGroups& groups = {});

}  // namespace boreal::plan
