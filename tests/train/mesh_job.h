// MeshJob: a few training steps of a tiny model on a mesh of ranks, and what came of them in a form
// that can be compared between meshes and worlds: whole losses and whole gradients.
// Thread rule: each rank calls run() with a world of its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dist/world.h"
#include "spec/recompute.h"
#include "spec/run_spec.h"
#include "train/replica.h"

namespace boreal::train {

struct MeshJob {
  std::string family = "llama";
  DType dtype = DType::f32;
  spec::MeshSpec mesh;
  std::int64_t steps = 5;
  std::int64_t rows = 8;        // of a step, over all ranks
  std::int64_t micro_rows = 0;  // of a rank's micro-batch; 0: all of its rows
  std::int64_t kv_heads = 2;    // llama
  spec::Recompute recompute = spec::Recompute::none;
  std::int64_t bucket_elements = 3000;  // of tiny models: several buckets
  // AdamW with the usual 1e-8 makes a whole step, up or down, of a gradient that is nothing but
  // rounding; with 1e-5 it makes next to none, and what differs is the mesh's own rounding.
  double eps = 1e-5;
  bool slow = false;  // ranks are held up at random
};

struct MeshOutcome {
  std::vector<double> losses;                           // of each step
  std::map<std::string, std::vector<float>> gradients;  // after the last step, whole, by name
  std::map<std::string, std::vector<float>> weights;
  dist::Traffic traffic;      // rank 0's, of the last step
  std::string bytes() const;  // losses and gradients
};

model::DecoderConfig config_of(const MeshJob& job);

// On every rank; the outcome is rank 0's.
MeshOutcome run(dist::World& world, const MeshJob& job);
// In a world of threads (one: a world of one).
MeshOutcome run_in_threads(const MeshJob& job);

// Largest difference of any gradient (loss), relative to that tensor's (step's) largest magnitude.
double gradient_difference(const MeshOutcome& got, const MeshOutcome& expected);
double loss_difference(const MeshOutcome& got, const MeshOutcome& expected);

std::int64_t ranks_of(const spec::MeshSpec& mesh);
// "dp_shard 2 x tp 2, no sequence parallelism".
std::string text_of(const spec::MeshSpec& mesh);

}  // namespace boreal::train
