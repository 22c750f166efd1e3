// The rules of a mesh that need no world.
#include "spec/checker.h"
#include "spec/validate.h"

namespace boreal::spec {

namespace {

constexpr std::int64_t kRanksMax = std::int64_t{1} << 20;

void check_sizes(Checker& check, const MeshSpec& mesh) {
  const std::vector<std::pair<std::string, std::int64_t>> degrees = {
      {"mesh.dp_replicate", mesh.dp_replicate},
      {"mesh.dp_shard", mesh.dp_shard},
      {"mesh.tp", mesh.tp},
      {"mesh.pp", mesh.pp},
      {"mesh.cp", mesh.cp}};
  std::int64_t ranks = 1;
  for (const auto& [key, degree] : degrees) {
    check.range(key, degree, 1, kRanksMax);
    if (!check.fine()) return;
    ranks *= degree;
    check.require(ranks <= kRanksMax, {key}, "{} is {}, which makes more than {} ranks in all.",
                  key, degree, kRanksMax);
  }
  check.range("mesh.ep", mesh.ep, 1, kRanksMax);
  check.range("mesh.zero", mesh.zero, 1, 3);
  if (!check.fine()) return;
  check.divides("mesh.ep", mesh.ep, "mesh.dp_shard x cp x tp", mesh.dp_shard * mesh.cp * mesh.tp,
                "experts are spread over these ranks");
}

void check_tensor_parallel(Checker& check, const MeshSpec& mesh, const MeshWork& work) {
  if (work.heads > 0) {
    check.divides("mesh.tp", mesh.tp, "model.heads", work.heads,
                  "each rank takes an equal share of the heads");
  }
  if (work.kv_heads > 0) {
    check.require(work.kv_heads % mesh.tp == 0 || mesh.tp % work.kv_heads == 0,
                  {"mesh.tp", "model.kv_heads"},
                  "mesh.tp is {}, which neither divides model.kv_heads ({}) nor is a multiple of "
                  "it: each rank takes as many key-value heads, or as many ranks share one.",
                  mesh.tp, work.kv_heads);
  }
  if (work.ffn > 0) {
    check.divides("mesh.tp", mesh.tp, "model.ffn", work.ffn,
                  "each rank takes an equal share of the MLP");
    check.require(mesh.tp == 1 || work.ffn / mesh.tp % 2 == 0, {"mesh.tp", "model.ffn"},
                  "model.ffn is {} and mesh.tp {}: a rank would take {} of its columns, but "
                  "products go through them in pairs.",
                  work.ffn, mesh.tp, work.ffn / mesh.tp);
  }
  if (work.sequence > 0 && mesh.sequence_parallel) {
    check.divides("mesh.tp", mesh.tp, "data.sequence", work.sequence,
                  "with mesh.sequence_parallel each rank takes as many tokens; set it to false or "
                  "change one of them");
  }
}

}  // namespace

MeshWork mesh_work(const RunSpec& spec) {
  const ModelSpec& model = spec.model;
  return {.heads = model.heads,
          .kv_heads = model.kv_heads > 0 ? model.kv_heads : model.heads,
          .ffn = model.ffn,
          .sequence = spec.data.sequence,
          .batch_sequences = spec.train.batch_sequences};
}

std::optional<Complaint> mesh_complaint(const MeshSpec& mesh, const MeshWork& work) {
  Checker check;
  check_sizes(check, mesh);
  if (!check.fine()) return std::move(check).take();
  check_tensor_parallel(check, mesh, work);
  const std::int64_t parts = mesh.dp_replicate * mesh.dp_shard;
  check.require(work.batch_sequences <= 0 || work.batch_sequences % parts == 0,
                {"train.batch_sequences", "mesh.dp_shard", "mesh.dp_replicate"},
                "train.batch_sequences is {}, which mesh.dp_replicate x mesh.dp_shard ({} x {}) "
                "does not divide: each rank takes as many rows.",
                work.batch_sequences, mesh.dp_replicate, mesh.dp_shard);
  return std::move(check).take();
}

}  // namespace boreal::spec
