#include "train/fitting.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/family.h"
#include "tests/train/memory/training.h"

namespace boreal::train {
namespace {

class Fitting : public testing::Test {
 protected:
  Fitting() {
    spec = tiny_run("llama");
    spec.model.hidden = 1024;
    spec.model.layers = 8;
    spec.model.heads = 16;
    spec.model.ffn = 2816;
    spec.model.vocab = 16384;
    spec.model.context = spec.data.sequence = 2048;
    spec.model.dtype = "fp32";
    spec.train.batch_sequences = 16;
  }
  void SetUp() override { config = model::config_of(spec.model, spec.model.vocab).value(); }
  Demand demand() const { return {.spec = spec, .config = config, .mesh = mesh, .threads = 2}; }
  std::string refusal(std::int64_t available_bytes) const {
    const device::Machine machine{.memory_bytes = std::int64_t{64} << 30,
                                  .available_bytes = available_bytes};
    const auto status = check_fits(demand(), machine);
    if (status.ok()) return "fits";
    EXPECT_EQ(status.error().kind, ErrorKind::refused);
    return status.error().message;
  }
  const Change* find(const std::vector<Change>& all, const std::string& text) const {
    for (const Change& each : all)
      if (each.text == text) return &each;
    return nullptr;
  }

  spec::RunSpec spec;
  model::DecoderConfig config;
  dist::DeviceMesh mesh;
};

TEST_F(Fitting, WhatTheMachineHasIsEnoughToTheByte) {
  const std::int64_t need = plan_of(demand()).total_bytes();
  EXPECT_EQ(refusal(need), "fits");
  EXPECT_NE(refusal(need - 1), "fits");
}

TEST_F(Fitting, EachChangeIsWhatAPlanOfTheChangedSpecSays) {
  const std::int64_t bytes = plan_of(demand()).total_bytes() / 2;
  const auto changes = smaller(demand(), bytes);
  spec.train.recompute = "full";
  const Change* full = find(changes, "train.recompute: full");
  ASSERT_NE(full, nullptr);
  EXPECT_EQ(full->bytes, plan_of(demand()).total_bytes());
  spec.train.recompute = "none";
  const Change* file = find(changes, "train.optimizer_state: FOLDER");
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->bytes, plan_of(demand()).total_bytes() - plan_of(demand()).moments_bytes);
  const Change* half = find(changes, "model.dtype: bf16");
  ASSERT_NE(half, nullptr);
  // The largest micro-batch that fits: the next larger one does not.
  const auto micro = std::ranges::find_if(changes, [](const Change& change) {
    return change.text.starts_with("train.micro_batch_sequences: ");
  });
  ASSERT_NE(micro, changes.end());
  spec.train.micro_batch_sequences = std::stoll(micro->text.substr(micro->text.find(' ')));
  EXPECT_EQ(micro->bytes, plan_of(demand()).total_bytes());
  EXPECT_LE(micro->bytes, bytes);
  spec.train.micro_batch_sequences *= 2;
  EXPECT_GT(plan_of(demand()).total_bytes(), bytes);
}

TEST_F(Fitting, ARefusalNamesThePlanTheMachineAndWhatWouldFit) {
  const std::string message = refusal(plan_of(demand()).total_bytes() * 2 / 3);
  for (const char* part :
       {"training needs ", "moments (", "activations (", "this machine has 68.7 GB, of which ",
        "it would fit with one of: ", "train.recompute: full ("})
    EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST_F(Fitting, MoreMachinesAreNamedUntilItFitsOrThereIsNoWorkForThem) {
  const std::int64_t need = plan_of(demand()).total_bytes();
  const auto with = [&](std::int64_t bytes) { return smaller(demand(), bytes).back(); };
  EXPECT_EQ(with(need - 1).text, "mesh.dp_shard: 2 (each rank on a machine of its own)");
  EXPECT_EQ(with(1).text, "mesh.dp_shard: 16 (each rank on a machine of its own)");
}

TEST_F(Fitting, WhereNothingHelpsEnoughTheLeastIsNamed) {
  const std::string message = refusal(1 << 20);
  EXPECT_NE(message.find("no change of the spec makes it fit, a smaller model does; the least is "),
            std::string::npos)
      << message;
}

TEST_F(Fitting, RanksOfOneMachineCountTogether) {
  Demand two = demand();
  two.ranks_here = 2;
  const std::int64_t need = plan_of(demand()).total_bytes();
  const device::Machine machine{.memory_bytes = 3 * need, .available_bytes = 2 * need - 1};
  EXPECT_FALSE(check_fits(two, machine).ok());
  EXPECT_TRUE(check_fits(demand(), machine).ok());
}

}  // namespace
}  // namespace boreal::train
