// What ranks that share the state do together, and when.
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

#include "dist/world.h"
#include "parallel/weight_store.h"

namespace boreal::parallel {
namespace {

using tensor::Shape;

std::int64_t calls(const dist::Traffic& traffic, const std::string& operation) {
  for (const dist::TrafficRow& row : traffic)
    if (row.operation == operation) return row.calls;
  return 0;
}

// A table, a norm and a matrix in each of four units: a bucket of vectors and four of matrices.
struct Model {
  static constexpr std::int64_t kUnits = 4;
  std::vector<nn::Parameter> all;
  std::vector<nn::Parameter*> parameters;

  Model() {
    for (std::int64_t unit = 0; unit < kUnits; ++unit) {
      all.push_back({.name = fmt::format("norm{}", unit), .shape = Shape{20}, .decay = false});
      all.push_back({.name = fmt::format("matrix{}", unit),
                     .shape = Shape{70, 20},
                     .gathered = unit == 0,
                     .multiplied = true});
    }
    for (nn::Parameter& p : all) {
      p.index = static_cast<std::int64_t>(parameters.size());
      p.unit = p.index / 2;
      parameters.push_back(&p);
    }
  }
};

struct Rank {
  dist::World& world;
  Model model;
  device::Pool pool{1};
  device::Context ctx = device::cpu_context(pool);
  ShardedState state{model.parameters, {world.all(), {}}, {.bucket_elements = 1}};
};

Status on_two_ranks(const std::function<void(Rank&)>& body) {
  return dist::run_world("threads:2", {.time_limit_s = 30}, [&](dist::World& world) -> Status {
    Rank rank{.world = world};
    rank.state.initialise(rank.ctx, 3);
    body(rank);
    return Done{};
  });
}

TEST(WeightsOfRanks, TravelWhenALayerAsksAndOneBucketAhead) {
  const Status status = on_two_ranks([](Rank& rank) {
    WeightStore store(rank.model.parameters, DType::bf16, true, false);
    store.start_publish(rank.ctx, rank.state);
    ASSERT_EQ(rank.state.layout().buckets().size(), 5U);
    // What the first layers ask for: a norm among others, the table, the first product.
    (void)store.acquire_plain(rank.model.all[2]);
    (void)store.acquire_plain(rank.model.all[1]);
    (void)store.acquire_packed(rank.model.all[3], nn::Form::forward);
    rank.world.all().barrier();  // behind all that was sent for
    EXPECT_EQ(calls(rank.world.take_traffic(), "all_gather"), 4);
    store.finish_publish();
    EXPECT_EQ(calls(rank.world.take_traffic(), "all_gather"), 1);
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST(GradientsOfRanks, AreSummedAsSoonAsABucketIsFinished) {
  const Status status = on_two_ranks([](Rank& rank) {
    rank.state.start_reduction();
    rank.state.finished(rank.ctx, Model::kUnits - 1);
    rank.world.all().barrier();
    EXPECT_EQ(calls(rank.world.take_traffic(), "reduce_scatter"), 1);
    for (std::int64_t unit = Model::kUnits - 1; unit-- > 0;) rank.state.finished(rank.ctx, unit);
    rank.state.finish_reduction();
    EXPECT_EQ(calls(rank.world.take_traffic(), "reduce_scatter"), 4);
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST(GradientsOfRanks, OfARankThatEndsWithAnErrorAreWaitedFor) {
  const auto run = [] {
    (void)on_two_ranks([](Rank& rank) {
      rank.state.start_reduction();
      for (std::int64_t unit = Model::kUnits; unit-- > 0;) rank.state.finished(rank.ctx, unit);
      if (rank.world.is_main()) throw std::runtime_error("out of something");
      rank.state.finish_reduction();
    });
  };
  EXPECT_THROW(run(), std::runtime_error);
}

TEST(FlatLayout, CutsAlikeOnRanksWithUnevenPieces) {
  std::vector<std::size_t> buckets;
  for (const std::int64_t held : {34, 35}) {
    Model model;
    model.all[1].segments = {{.begin = 0, .count = held}};
    // A limit between the pieces that the two hold of the table.
    buckets.push_back(FlatLayout(model.parameters, 1, 0, 69 * 10).buckets().size());
  }
  EXPECT_EQ(buckets[0], buckets[1]);
}

}  // namespace
}  // namespace boreal::parallel
