// The ranks of bench_all_reduce that are processes, under mpirun: the first one speaks as a peer
// (peer.h). all_reduce_ranks mpi|mpi_messages
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "dist/world.h"
#include "tensor/memory.h"

namespace boreal::bench {
namespace {

class Ranks {
 public:
  explicit Ranks(dist::World& world) : all_(world.all()) {}

  // Reads questions to the end of the input.
  void lead() {
    std::array<char, 512> line{};
    while (std::fgets(line.data(), static_cast<int>(line.size()), stdin) != nullptr) {
      const std::string_view question = line.data();
      if (question.starts_with("set up")) {
        const std::size_t last = question.rfind(' ');
        set_up(all_.sum(std::strtod(question.data() + last, nullptr)));
        say("ok");
      } else if (question.starts_with("run")) {
        say(fmt::format("{}", run(std::strtod(question.data() + 3, nullptr))));
      } else {
        say("ok");
      }
    }
    all_.sum(kStop);
  }

  void follow() {
    while (true) {
      const double word = all_.sum(0);
      if (word == kStop) return;
      if (word == kRun)
        reduce();
      else
        set_up(word);
    }
  }

 private:
  // Anything else is a size in bytes.
  static constexpr double kStop = -1;
  static constexpr double kRun = -2;

  static void say(const std::string& answer) {
    fmt::print("{}\n", answer);
    std::fflush(stdout);
  }
  void set_up(double bytes) {
    block_ = tensor::Block(static_cast<std::int64_t>(bytes));
    reduce();
  }
  void reduce() {
    const tensor::Tensor x(block_.data(), DType::f32, tensor::Shape{block_.bytes() / 4});
    all_.all_reduce(device::cpu_context(pool_), x).wait();
  }
  double run(double sample_s) {
    const double start = Clock::real().now_s();
    double now = start;
    int count = 0;
    do {
      all_.sum(kRun);
      reduce();
      ++count;
      now = Clock::real().now_s();
    } while (now - start < sample_s);
    return (now - start) / count;
  }

  const dist::Group& all_;
  device::Pool pool_{1};
  tensor::Block block_;
};

}  // namespace
}  // namespace boreal::bench

int main(int argc, char** argv) {
  using boreal::dist::World;
  boreal::dist::WorldOptions options;
  options.share_memory = argc < 2 || std::string_view(argv[1]) != "mpi_messages";
  const boreal::Status status =
      boreal::dist::run_world("mpi", options, [](World& world) -> boreal::Status {
        boreal::bench::Ranks ranks(world);
        if (world.is_main())
          ranks.lead();
        else
          ranks.follow();
        return boreal::Done{};
      });
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}
