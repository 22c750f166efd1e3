// What a spec must satisfy, as complaints that name their keys, so that the reader can say where
// they were set. Thread rule: pure functions.
#pragma once

#include <cstdint>
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

// What a mesh shares out between its ranks. 0: not known yet, and not checked.
struct MeshWork {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t ffn = 0;
  std::int64_t sequence = 0;
  std::int64_t batch_sequences = 0;
};

// As far as the spec says; model.ffn may be left to the family.
MeshWork mesh_work(const RunSpec& spec);

// Sizes that no mesh has, and work that it cannot share out evenly.
std::optional<Complaint> mesh_complaint(const MeshSpec& mesh, const MeshWork& work);

}  // namespace boreal::spec
