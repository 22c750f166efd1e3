#include "tests/train/memory/training.h"

#include <gtest/gtest.h>

#include "dist/launch.h"
#include "dist/layout.h"
#include "model/family.h"

namespace boreal::train {

spec::RunSpec tiny_run(const std::string& family) {
  spec::RunSpec spec;
  spec.model.family = family;
  spec.model.hidden = 64;
  spec.model.layers = 3;
  spec.model.heads = 4;
  spec.model.ffn = 96;
  spec.model.vocab = 301;
  spec.model.context = 128;
  spec.data.sequence = 128;
  spec.data.sources = {{.name = "synthetic", .synthetic = true}};
  spec.train.steps = 12;
  spec.train.batch_sequences = 8;
  return spec;
}

Result<TrainSummary> train_run(Env& env, const spec::RunSpec& spec, const std::string& out,
                               std::int64_t threads, const std::string& resume) {
  if (resume == "never") RETURN_IF_ERROR(env.remove_all(out));
  RETURN_IF_ERROR(env.make_dirs(out));
  TrainInput input{.vocab = spec.model.vocab};
  for (const spec::SourceSpec& source : spec.data.sources) {
    tokens::StreamSource from{.name = source.name, .prefix = source.shards};
    if (source.synthetic) from.synthetic_vocab = spec.model.vocab;
    input.train.push_back(from);
  }
  ASSIGN_OR_RETURN(const auto config, model::config_of(spec.model, spec.model.vocab));
  TrainSummary summary;
  const std::int64_t ranks = dist::Layout(spec.mesh).ranks();
  RETURN_IF_ERROR(dist::run_world(
      ranks == 1 ? "single" : fmt::format("threads:{}", ranks), {.time_limit_s = 60},
      [&](dist::World& world) -> Status {
        ASSIGN_OR_RETURN(const auto mesh, dist::DeviceMesh::make(world, spec.mesh));
        device::Pool pool(threads);
        const TrainOptions options{.out = out, .resume = resume, .quiet = true, .spec_hash = "one"};
        ASSIGN_OR_RETURN(TrainSummary mine, train(env, Clock::real(), pool, world, mesh, spec,
                                                  config, input, options));
        if (world.is_main()) summary = std::move(mine);
        return Done{};
      }));
  return summary;
}

std::string test_folder() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = fmt::format("boreal_{}_{}", info->test_suite_name(), info->name());
  for (char& c : name)
    if (c == '/') c = '_';
  return testing::TempDir() + name;
}

}  // namespace boreal::train
