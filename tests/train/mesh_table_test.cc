// The table of docs/mesh.md: how far each mesh is from one rank, and that threads, processes and
// ranks that are held up give the same bits. BOREAL_WRITE_DOCS=1 writes it.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/env.h"
#include "tests/train/mesh_job.h"

namespace boreal::train {
namespace {

struct Row {
  spec::MeshSpec mesh;
  std::string text() const { return text_of(mesh); }
};

std::vector<Row> rows() {
#if defined(__SANITIZE_THREAD__)
  // All of them take minutes there, and Mesh.* are the same meshes.
  return {{{.dp_shard = 2, .tp = 2}}};
#else
  return {{{.dp_shard = 2}},
          {{.dp_replicate = 2}},
          {{.tp = 2}},
          {{.tp = 2, .sequence_parallel = false}},
          {{.dp_shard = 2, .tp = 2}},
          {{.dp_replicate = 2, .dp_shard = 2}},
          {{.dp_replicate = 2, .tp = 2}},
          {{.tp = 4}}};
#endif
}

// Not with the thread sanitizer: it knows one process.
bool has_mpirun() {
#if defined(__SANITIZE_THREAD__)
  return false;
#else
  return BOREAL_HAS_MPI != 0 && std::system("command -v mpirun > /dev/null 2>&1") == 0;
#endif
}

// The bytes of the outcome of processes. Open MPI leaks by itself.
std::string run_in_processes(const MeshJob& job) {
  const std::string file = testing::TempDir() + "boreal_mesh_probe.bin";
  const std::string line = fmt::format(
      "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      "timeout 60 mpirun --oversubscribe "
      "--mca mpi_yield_when_idle 1 -n {} {} mpi {} {} {} {} {} {} {} {} {}",
      ranks_of(job.mesh), BOREAL_MESH_PROBE, job.family, name_of(job.dtype), job.steps,
      job.mesh.dp_replicate, job.mesh.dp_shard, job.mesh.tp, job.mesh.sequence_parallel ? 1 : 0,
      job.slow ? 1 : 0, file);
  EXPECT_EQ(std::system(line.c_str()), 0) << line;
  const auto bytes = Env::real().read_file(file);
  (void)Env::real().remove_all(file);
  return bytes.ok() ? *bytes : "";
}

std::string same(bool equal) {
  return equal ? "equal" : "DIFFER";
}

constexpr double kFp32 = 1e-5;
constexpr double kBf16 = 5e-4;
constexpr double kUsualEps = 1e-3;

std::string line_of(const std::string& family, const Row& row, const MeshOutcome& one,
                    const MeshOutcome& one_bf16) {
  MeshJob job{.family = family, .mesh = row.mesh};
  const MeshOutcome fp32 = run_in_threads(job);
  MeshJob slow = job;
  slow.slow = true;
  const bool slow_equal = run_in_threads(slow).bytes() == fp32.bytes();
  std::string processes = "-";
  if (has_mpirun()) {
    const bool equal = run_in_processes(job) == fp32.bytes();
    EXPECT_TRUE(equal) << family << " " << row.text();
    processes = same(equal);
  }
  MeshJob bf16 = job;
  bf16.dtype = DType::bf16;
  bf16.steps = 20;
  MeshJob usual = job;
  usual.eps = 1e-8;
  MeshJob usual_alone = usual;
  usual_alone.mesh = {};
  const double parted = gradient_difference(run_in_threads(usual), run_in_threads(usual_alone));
  EXPECT_LE(parted, kUsualEps) << family << " " << row.text();
  const double loss = loss_difference(fp32, one);
  const double gradient = gradient_difference(fp32, one);
  const double loss_bf16 = loss_difference(run_in_threads(bf16), one_bf16);
  EXPECT_LE(loss, kFp32) << family << " " << row.text();
  EXPECT_LE(gradient, kFp32) << family << " " << row.text();
  EXPECT_LE(loss_bf16, kBf16) << family << " " << row.text();
  EXPECT_TRUE(slow_equal) << family << " " << row.text();
  return fmt::format("| {} | {} | {} | {:.0e} | {:.0e} | {:.0e} | {:.0e} | {} | {} |\n", family,
                     row.text(), ranks_of(row.mesh), loss, gradient, parted, loss_bf16, processes,
                     same(slow_equal));
}

TEST(MeshTable, EveryMeshIsWithinTheBoundsOfOneRank) {
  std::string table =
      "| family | mesh | ranks | loss, fp32 | gradients, fp32 | eps 1e-8 | loss, bf16 | processes |"
      " held up |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const std::string family : {"llama", "gpt2"}) {
    MeshJob alone{.family = family, .mesh = {}};
    const MeshOutcome one = run_in_threads(alone);
    alone.dtype = DType::bf16;
    alone.steps = 20;
    const MeshOutcome one_bf16 = run_in_threads(alone);
    for (const Row& row : rows()) table += line_of(family, row, one, one_bf16);
  }
  if (!has_mpirun()) std::printf("skipped: no mpirun, so processes were not compared\n");
  std::printf("%s", table.c_str());
  if (std::getenv("BOREAL_WRITE_DOCS") == nullptr) return;
  // Behind the text of the page.
  const std::string path = std::string(BOREAL_SOURCE_DIR) + "/docs/mesh.md";
  std::string page = Env::real().read_file(path).value();
  page.resize(std::min(page.size(), page.find("| family |")));
  ASSERT_TRUE(Env::real().write_file(path, page + table).ok());
}

}  // namespace
}  // namespace boreal::train
