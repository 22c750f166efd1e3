// A program for the tests of worlds: mpi_ranks WORLD SCENE. It stands in for boreal under mpirun.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include "tests/dist/cases.h"

namespace boreal::dist {
namespace {

using tensor::Shape;
using tensor::Tensor;

device::Context context() {
  static device::Pool pool(1);
  return device::cpu_context(pool);
}

// Every collective, against its slow twin; the hashes of all results, so that worlds compare.
Status hashes(World& world) {
  std::vector<std::string> lines;
  const std::vector<std::string> wrong = cases::run_all(world, lines);
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  for (const std::string& each : wrong) text += "WRONG " + each + "\n";
  for (const std::string& all : world.all().gather_texts(text))
    if (world.is_main()) std::fputs(all.c_str(), stdout);
  if (!wrong.empty()) return failed("{} results are wrong", wrong.size());
  return Done{};
}

void describe(World& world) {
  world.describe(fmt::format("dp_shard {}", world.rank()));
  world.at_step(17);
}

// Rank 1 stops as SIGSTOP or a dead host would stop it.
Status stopped(World& world) {
  describe(world);
  world.all().barrier();
  if (world.rank() == 1) raise(SIGSTOP);
  std::vector<float> x(1000);
  world.all().all_reduce(context(), Tensor(x.data(), DType::f32, Shape{1000})).wait();
  return Done{};
}

// Rank 1 computes for ever.
Status absent(World& world) {
  describe(world);
  world.all().barrier();
  if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(60));
  world.all().barrier();
  return Done{};
}

Status mismatch(World& world) {
  describe(world);
  std::vector<float> x(12);
  if (world.rank() == 1)
    world.all().broadcast(context(), Tensor(x.data(), DType::f32, Shape{12}), 0).wait();
  else
    world.all().all_reduce(context(), Tensor(x.data(), DType::f32, Shape{3, 4})).wait();
  return Done{};
}

// One rank's error, while the others wait for it.
Status refusal(World& world) {
  describe(world);
  if (world.rank() == 1) return refused("shard 3 is damaged");
  world.all().barrier();
  return Done{};
}

// An error that all ranks agree on.
Status agreed(World& world) {
  return world.all().agree(world.rank() == 1 ? Status(refused("shard 3 is damaged"))
                                             : Status(Done{}));
}

// One rank waits in one group, the other in another.
Status crossed(World& world) {
  describe(world);
  const std::vector<std::int64_t> both = {0, 1};
  if (world.rank() > 1) return Done{};
  std::vector<float> x(2);
  if (world.rank() == 0)
    world.group(both, "tp").all_reduce(context(), Tensor(x.data(), DType::f32, Shape{2})).wait();
  else
    world.group(both, "dp_shard").barrier();
  return Done{};
}

// WORLD may be mpi-messages: as if every rank were on a host of its own.
int run(std::string kind, const std::string& scene) {
  WorldOptions options;
  if (kind == "mpi-messages") {
    kind = "mpi";
    options.share_memory = false;
  }
  // A rank with an error gives the others three seconds: their limit is not to come first.
  options.time_limit_s = scene == "hashes" ? 60 : scene == "refusal" ? 10 : 2;
  options.debug = scene == "mismatch";
  bool main_rank = true;
  const Status status = run_world(kind, options, [&](World& world) -> Status {
    if (!world.is_main() && kind == "mpi") main_rank = false;
    if (scene == "hashes") return hashes(world);
    if (scene == "stopped") return stopped(world);
    if (scene == "absent") return absent(world);
    if (scene == "mismatch") return mismatch(world);
    if (scene == "crossed") return crossed(world);
    if (scene == "refusal") return refusal(world);
    if (scene == "agreed") return agreed(world);
    return wrong_usage("no scene {}", scene);
  });
  if (status.ok()) return 0;
  if (main_rank) std::fputs(("error: " + status.error().message + "\n").c_str(), stderr);
  return exit_code(status.error().kind);
}

}  // namespace
}  // namespace boreal::dist

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return boreal::dist::run(argv[1], argv[2]);
}
