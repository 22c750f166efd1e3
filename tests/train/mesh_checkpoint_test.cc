// A checkpoint is the same tensors whatever mesh wrote it, and any mesh goes on from it.
#include <gtest/gtest.h>

#include "ckpt/checkpoint.h"
#include "tests/train/mesh_job.h"
#include "train/checkpointing.h"

namespace boreal::train {
namespace {

class MeshCheckpoint : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    dir = testing::TempDir() + "boreal_mesh_checkpoint_" + GetParam();
    ASSERT_TRUE(env.remove_all(dir).ok());
    ASSERT_TRUE(env.make_dirs(dir).ok());
  }
  void TearDown() override { ASSERT_TRUE(env.remove_all(dir).ok()); }

  // On every rank of the mesh: takes up `from` ("" = draws weights and moments), saves as `to`.
  void pass_on(const spec::MeshSpec& mesh, const std::string& from, const std::string& to) {
    const std::int64_t ranks = ranks_of(mesh);
    const Status status = dist::run_world(
        ranks == 1 ? "single" : fmt::format("threads:{}", ranks), {.time_limit_s = 60},
        [&](dist::World& world) { return pass_on(world, mesh, from, to); });
    ASSERT_TRUE(status.ok()) << status.error().message;
  }

  // Every tensor, whole.
  std::map<std::string, std::vector<float>> tensors(const std::string& out) {
    std::map<std::string, std::vector<float>> all;
    auto opened = ckpt::Checkpoint::open(env, join_path(dir, out + "/checkpoints/step-7"));
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    for (const ckpt::TensorRecord& record : opened->tensors()) {
      std::vector<float>& values = all[record.name];
      values.resize(static_cast<std::size_t>(record.shape.elements()));
      const Status status =
          opened->read(record.name, tensor::Tensor(values.data(), DType::f32, record.shape));
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return all;
  }

  Env& env = Env::real();
  std::string dir;

 private:
  Status pass_on(dist::World& world, const spec::MeshSpec& mesh, const std::string& from,
                 const std::string& to) {
    ASSIGN_OR_RETURN(const auto device_mesh, dist::DeviceMesh::make(world, mesh));
    device::Pool pool(1);
    Replica replica(config_of({.family = GetParam(), .mesh = mesh}),
                    {.rows = 2, .sequence = 16, .bucket_elements = 3000}, pool, device_mesh);
    TrainInput input;
    TrainOptions options{.out = join_path(dir, to), .spec_hash = "spec"};
    if (from.empty()) {
      replica.state().initialise(replica.ctx(), 5);
      // Moments are no function of the mesh if they are drawn by place in the whole parameter.
      for (const parallel::Part& part : replica.state().layout().parts()) {
        auto* first = static_cast<float*>(replica.state().first_moment(part).data);
        auto* second = static_cast<float*>(replica.state().second_moment(part).data);
        for (const auto& region : parallel::regions_of(*part.parameter, part.begin, part.count)) {
          const std::int64_t rows = region.shape[0];
          const std::int64_t columns = region.shape.elements() / rows;
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < columns; ++c) {
              const auto at = static_cast<float>(region.global_index(*part.parameter, r) + c);
              *first++ = at + 0.25F;
              *second++ = -at;
            }
        }
      }
    } else {
      std::vector<std::string> warnings;
      options.resume = join_path(dir, from + "/checkpoints/step-7");
      ASSIGN_OR_RETURN(const auto at, restore(env, replica, input, options, warnings));
      EXPECT_TRUE(at.has_value() && at->step == 7);
    }
    return save(env, replica, {.step = 7}, {}, input, options).ok() ? Status(Done{})
                                                                    : Status(failed("not saved"));
  }
};

TEST_P(MeshCheckpoint, PassesFromMeshToMeshWithoutAChange) {
  pass_on({}, "", "one");
  const auto expected = tensors("one");
  ASSERT_GT(expected.size(), 10U);
  const std::vector<spec::MeshSpec> meshes = {
      {.dp_shard = 3}, {.dp_shard = 2, .tp = 2},
      {.tp = 8},       {.dp_replicate = 2, .dp_shard = 2, .tp = 2},
      {.tp = 4},       {}};
  std::string from = "one";
  for (const spec::MeshSpec& mesh : meshes) {
    const std::string drawn = text_of(mesh) + " drawn";
    pass_on(mesh, "", drawn);
    EXPECT_EQ(tensors(drawn), expected) << text_of(mesh);
    const std::string to = text_of(mesh) + " read";
    pass_on(mesh, from, to);
    EXPECT_EQ(tensors(to), expected) << from << " to " << to;
    from = to;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, MeshCheckpoint, testing::Values("llama", "gpt2"));

}  // namespace
}  // namespace boreal::train
