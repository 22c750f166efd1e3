// The optimizer's moments in a file: the bits of moments in memory, and nothing left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "ckpt/checkpoint.h"
#include "tests/train/memory/training.h"
#include "train/moments_file.h"

namespace boreal::train {
namespace {

class MomentsFile : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env.remove_all(root).ok()); }
  void TearDown() override { ASSERT_TRUE(env.remove_all(root).ok()); }

  std::string at(const std::string& name) const { return join_path(root, name); }
  // Every tensor of a checkpoint, moments too.
  std::map<std::string, std::vector<float>> tensors(const std::string& folder) {
    std::map<std::string, std::vector<float>> all;
    auto opened = ckpt::Checkpoint::open(env, folder);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    if (!opened.ok()) return all;
    for (const ckpt::TensorRecord& record : opened->tensors()) {
      std::vector<float>& values = all[record.name];
      values.resize(static_cast<std::size_t>(record.shape.elements()));
      const auto read =
          opened->read(record.name, tensor::Tensor(values.data(), record.dtype, record.shape));
      EXPECT_TRUE(read.ok()) << read.error().message;
    }
    return all;
  }
  void train_in(const std::string& out, const spec::RunSpec& spec,
                const std::string& resume = "never") {
    const auto summary = train_run(env, spec, at(out), 1, resume);
    EXPECT_TRUE(summary.ok()) << summary.error().message;
  }

  Env& env = Env::real();
  std::string root = test_folder();
};

TEST_F(MomentsFile, GivesTheBitsOfMomentsInMemory) {
  for (const std::int64_t shard : {1, 2}) {
    spec::RunSpec spec = tiny_run("llama");
    spec.train.steps = 4;
    spec.mesh.dp_shard = shard;
    train_in("memory", spec);
    spec.train.optimizer_state = at("moments");
    train_in("file", spec);
    const auto expected = tensors(at("memory/checkpoints/step-4"));
    EXPECT_EQ(tensors(at("file/checkpoints/step-4")), expected);
    EXPECT_TRUE(expected.contains("second_moment/embedding.weight"));
    // Nothing of it has a name.
    EXPECT_TRUE(env.list_dir(at("moments")).value().empty());
  }
}

TEST_F(MomentsFile, IsFilledFromTheCheckpointWhenARunGoesOn) {
  spec::RunSpec spec = tiny_run("gpt2");
  spec.train.steps = 6;
  train_in("whole", spec);
  spec.checkpoint.every_steps = 3;
  spec.train.optimizer_state = at("moments");
  train_in("broken", spec);
  ASSERT_TRUE(env.remove_all(at("broken/checkpoints/step-6")).ok());
  train_in("broken", spec, "auto");
  EXPECT_EQ(tensors(at("broken/checkpoints/step-6")), tensors(at("whole/checkpoints/step-6")));
}

TEST_F(MomentsFile, ThatNoDiskCanHoldIsRefusedBeforeTheFirstStep) {
  const auto memory = env.map_memory(root, std::uint64_t{1} << 60);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.error().kind, ErrorKind::failed);
  EXPECT_NE(memory.error().message.find("a file of 1152921504.6 GB is wanted, but the file system "
                                        "has "),
            std::string::npos)
      << memory.error().message;

  spec::RunSpec spec = tiny_run("llama");
  std::ofstream(root + "/file") << "no folder";
  spec.train.optimizer_state = root + "/file/moments";
  const auto summary = train_run(env, spec, at("out"), 1);
  ASSERT_FALSE(summary.ok());
  EXPECT_NE(summary.error().message.find("train.optimizer_state: cannot make folder"),
            std::string::npos)
      << summary.error().message;
  EXPECT_FALSE(env.exists(at("out/metrics.jsonl")));
}

TEST_F(MomentsFile, IsZeroWhateverTheDiskHeldBefore) {
  for (int time = 0; time < 2; ++time) {
    auto memory = env.map_memory(at("moments"), 3 << 20);
    ASSERT_TRUE(memory.ok()) << memory.error().message;
    const std::span<std::byte> bytes = (*memory)->bytes();
    ASSERT_EQ(bytes.size(), std::size_t{3} << 20);
    EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; }));
    std::ranges::fill(bytes, std::byte{7});
  }
}

}  // namespace
}  // namespace boreal::train
