// The loop over steps, driven as the program drives it, on synthetic ids and a tiny model.
#include "train/trainer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "ckpt/checkpoint.h"
#include "ckpt/folder.h"
#include "model/family.h"
#include "monitor/metrics.h"
#include "optim/schedule.h"

namespace boreal::train {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::int64_t kVocab = 61;

class Trainer : public testing::Test {
 protected:
  void SetUp() override {
    dir = testing::TempDir() + "boreal_trainer_" +
          testing::UnitTest::GetInstance()->current_test_info()->name();
    ASSERT_TRUE(env.remove_all(dir).ok());
    spec.model.hidden = 16;
    spec.model.layers = 1;
    spec.model.heads = 2;
    spec.model.ffn = 32;
    spec.model.vocab = kVocab;
    spec.model.context = 16;
    spec.model.dtype = "fp32";
    spec.data.sequence = 16;
    spec.train.steps = 6;
    spec.train.batch_sequences = 4;
    spec.optim.warmup_steps = 2;
    input.vocab = kVocab;
    input.train = {{.name = "synthetic", .synthetic_vocab = kVocab}};
  }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }

  // Trains in dir/out; `stop` as if a signal had come.
  Result<TrainSummary> train_in(const std::string& out, Stop stop = Stop::none,
                                const std::string& resume = "auto") {
    const std::atomic<Stop> flag(stop);
    const TrainOptions options{
        .out = path(out), .resume = resume, .quiet = true, .spec_hash = spec_hash, .stop = &flag};
    EXPECT_TRUE(env.make_dirs(path(out)).ok());
    const auto config = model::config_of(spec.model, kVocab);
    EXPECT_TRUE(config.ok()) << config.error().message;
    dist::World world;
    const dist::DeviceMesh mesh;
    return train(env, Clock::real(), pool, world, mesh, spec, *config, input, options);
  }
  void trained(const std::string& out) {
    const auto summary = train_in(out);
    ASSERT_TRUE(summary.ok()) << summary.error().message;
  }
  std::string path(const std::string& name) const { return join_path(dir, name); }
  std::vector<monitor::StepMetrics> metrics(const std::string& out) const {
    return monitor::read_metrics(env, path(out + "/metrics.jsonl")).value();
  }
  std::string checkpoint(const std::string& out, std::int64_t step) const {
    return path(fmt::format("{}/checkpoints/step-{}", out, step));
  }
  // All tensors of a checkpoint whose names do not begin with `without`.
  std::map<std::string, std::vector<float>> tensors(const std::string& folder,
                                                    const std::string& without = "-") const {
    std::map<std::string, std::vector<float>> all;
    auto opened = ckpt::Checkpoint::open(env, folder);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    for (const ckpt::TensorRecord& record : opened->tensors()) {
      if (record.name.find(without) != std::string::npos) continue;
      std::vector<float>& values = all[record.name];
      values.resize(static_cast<std::size_t>(record.shape.elements()));
      EXPECT_TRUE(
          opened->read(record.name, tensor::Tensor(values.data(), record.dtype, record.shape))
              .ok());
    }
    return all;
  }

  Env& env = Env::real();
  device::Pool pool{2};
  std::string dir;
  std::string spec_hash = "one";
  spec::RunSpec spec;
  TrainInput input;
};

TEST_F(Trainer, MicroBatchesOfAnySizeAddUpToTheSameStep) {
  trained("whole");
  const auto whole = metrics("whole");
  for (const std::int64_t rows : {1, 2, 3}) {
    spec.train.micro_batch_sequences = rows;
    const std::string out = fmt::format("micro_{}", rows);
    trained(out);
    const auto cut = metrics(out);
    ASSERT_EQ(cut.size(), whole.size());
    for (std::size_t i = 0; i < cut.size(); ++i) {
      EXPECT_NEAR(cut[i].loss / whole[i].loss, 1, 1e-5) << "rows " << rows << ", step " << i + 1;
      EXPECT_NEAR(cut[i].grad_norm / whole[i].grad_norm, 1, 1e-4) << "rows " << rows;
      EXPECT_EQ(cut[i].tokens, whole[i].tokens);
    }
  }
}

TEST_F(Trainer, StoppedAfterEveryStepItGivesTheRowsRatesAndWeightsOfAnUnbrokenRun) {
  for (const char* schedule : {"wsd", "cosine", "constant"}) {
    spec.optim.schedule = schedule;
    const std::string unbroken = std::string(schedule) + "_unbroken";
    const std::string broken = std::string(schedule) + "_broken";
    trained(unbroken);
    for (std::int64_t step = 1; step < spec.train.steps; ++step) {
      const Stop stop = step % 2 == 0 ? Stop::save_and_end : Stop::save_and_requeue;
      const auto stopped = train_in(broken, stop);
      ASSERT_FALSE(stopped.ok());
      EXPECT_EQ(exit_code(stopped.error().kind), step % 2 == 0 ? 130 : 75);
      EXPECT_THAT(stopped.error().message, HasSubstr(fmt::format("step {} of 6", step)));
    }
    const auto last = train_in(broken);
    ASSERT_TRUE(last.ok()) << last.error().message;
    EXPECT_EQ(last->first_step, spec.train.steps - 1);
    const auto rows = metrics(broken);
    const auto expected = metrics(unbroken);
    ASSERT_EQ(rows.size(), expected.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_TRUE(monitor::equal_but_for_times(rows[i], expected[i])) << schedule << ' ' << i;
      EXPECT_EQ(rows[i].lr,
                optim::learning_rate(spec.optim, static_cast<std::int64_t>(i), spec.train.steps));
    }
    EXPECT_EQ(tensors(checkpoint(broken, 6)), tensors(checkpoint(unbroken, 6)));
  }
}

TEST_F(Trainer, AnOlderCheckpointThatIsNamedCutsWhatCameAfterIt) {
  spec.checkpoint.every_steps = 2;
  spec.checkpoint.keep = 0;
  trained("out");
  const auto before = metrics("out");
  const auto weights = tensors(checkpoint("out", 6));
  const auto stopped = train_in("out", Stop::save_and_end, checkpoint("out", 2));
  EXPECT_FALSE(stopped.ok());
  EXPECT_EQ(metrics("out").size(), 3U);
  EXPECT_FALSE(env.exists(checkpoint("out", 4)));
  EXPECT_FALSE(env.exists(checkpoint("out", 6)));
  trained("out");
  EXPECT_EQ(tensors(checkpoint("out", 6)), weights);
  EXPECT_EQ(metrics("out").size(), before.size());
}

TEST_F(Trainer, InitFromTakesTheWeightsAndNothingElse) {
  trained("first");
  spec.train.init_from = checkpoint("first", 6);
  spec.train.steps = 1;
  spec.optim.lr = 1e-30;  // changes no bit of a weight
  spec.optim.weight_decay = 0;
  trained("second");
  EXPECT_EQ(tensors(checkpoint("second", 1), "moment/"),
            tensors(checkpoint("first", 6), "moment/"));
  EXPECT_EQ(metrics("second").front().step, 1);
  // The first batch again, by a model that has seen it.
  EXPECT_LT(metrics("second").front().loss, metrics("first").front().loss);
}

TEST_F(Trainer, InitFromAnotherShapeIsRefusedWithBothSizes) {
  trained("first");
  spec.train.init_from = checkpoint("first", 6);
  spec.model.ffn = 48;
  const auto refused = train_in("second");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(exit_code(refused.error().kind), 2);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("train.init_from"), HasSubstr("ffn 32"), HasSubstr("48")));
  spec.train.init_from = path("nowhere");
  EXPECT_EQ(exit_code(train_in("third").error().kind), 3);
}

TEST_F(Trainer, ALossThatIsNotFiniteNamesStepAndTensorAndKeepsTheLastCheckpoint) {
  spec.optim.lr = 1e30;
  spec.optim.warmup_steps = 0;
  spec.checkpoint.every_steps = 1;
  const auto result = train_in("out");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(exit_code(result.error().kind), 1);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("step 2"), HasSubstr("not finite"),
                                            HasSubstr("gradient of embedding.weight"),
                                            HasSubstr("checkpoint of step 1 is kept")));
  EXPECT_EQ(metrics("out").size(), 1U);
  EXPECT_TRUE(ckpt::Checkpoint::open(env, checkpoint("out", 1))->verify().ok());
  EXPECT_FALSE(env.exists(checkpoint("out", 2)));

  spec.checkpoint.every_steps = 0;
  EXPECT_THAT(train_in("without").error().message, HasSubstr("no checkpoint was written yet"));
}

TEST_F(Trainer, AnotherSpecsOrTokenizersCheckpointIsRefusedWithBothHashes) {
  input.tokenizer_fingerprint = "words";
  trained("out");
  spec_hash = "two";
  const auto other_spec = train_in("out");
  ASSERT_FALSE(other_spec.ok());
  EXPECT_EQ(exit_code(other_spec.error().kind), 3);
  EXPECT_THAT(other_spec.error().message, AllOf(HasSubstr("one"), HasSubstr("two")));
  spec_hash = "one";
  input.tokenizer_fingerprint = "bytes";
  const auto other_tokenizer = train_in("out");
  ASSERT_FALSE(other_tokenizer.ok());
  EXPECT_EQ(exit_code(other_tokenizer.error().kind), 3);
  EXPECT_THAT(other_tokenizer.error().message, AllOf(HasSubstr("words"), HasSubstr("bytes")));
  input.tokenizer_fingerprint = "words";
  input.data_fingerprint = "changed";
  const auto other_data = train_in("out");
  ASSERT_FALSE(other_data.ok());
  EXPECT_EQ(exit_code(other_data.error().kind), 3);
  EXPECT_THAT(other_data.error().message, HasSubstr("are changed now"));
}

TEST_F(Trainer, TokensAreRoundedUpToStepsAndASpecWithoutEitherIsRefused) {
  spec.train.steps = 0;
  spec.train.tokens = 4 * 16 * 2 + 1;
  EXPECT_EQ(steps_of(spec), 3);
  trained("out");
  EXPECT_EQ(metrics("out").back().tokens, 4 * 16 * 3);
  spec.train.tokens = 0;
  EXPECT_EQ(exit_code(train_in("none").error().kind), 2);
  spec.train.steps = 1;
  spec.data.sequence = 17;
  const auto too_long = train_in("long");
  EXPECT_THAT(too_long.error().message, AllOf(HasSubstr("17"), HasSubstr("16")));
}

}  // namespace
}  // namespace boreal::train
