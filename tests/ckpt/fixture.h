// A folder of the test's own, and a small training state whose every value depends on the step.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/env.h"
#include "ckpt/checkpoint.h"
#include "ckpt/folder.h"
#include "ckpt/save.h"

namespace boreal::ckpt {

// Values of all kinds: a matrix, a bf16 vector, a scalar, an empty tensor, odd sizes.
struct State {
  std::vector<float> weight;
  std::vector<bf16_t> bias;
  double scale = 0;
  std::vector<std::uint8_t> bytes;

  explicit State(std::int64_t step) {
    for (int i = 0; i < 35; ++i) weight.push_back(static_cast<float>(step * 1000 + i));
    for (int i = 0; i < 9; ++i) bias.push_back(to_bf16(static_cast<float>(step + i)));
    scale = static_cast<double>(step) + 0.25;
    for (int i = 0; i < 67; ++i) bytes.push_back(static_cast<std::uint8_t>(step * 7 + i));
  }

  std::vector<Piece> pieces() {
    return {whole("block.0.weight", tensor::Tensor(weight.data(), DType::f32, {5, 7})),
            whole("bias", tensor::Tensor(bias.data(), DType::bf16, {9})),
            whole("empty", tensor::Tensor(nullptr, DType::i32, {0, 3})),
            whole("scale", tensor::Tensor(&scale, DType::f64, {})),
            whole("bytes", tensor::Tensor(bytes.data(), DType::u8, {67}))};
  }

  bool operator==(const State& other) const {
    return weight == other.weight && scale == other.scale && bytes == other.bytes &&
           std::equal(bias.begin(), bias.end(), other.bias.begin(), other.bias.end(),
                      [](bf16_t a, bf16_t b) { return a.bits == b.bits; });
  }
};

// Reads everything; the first error, or the state.
inline Result<State> read_state(Checkpoint& checkpoint) {
  State state(0);
  for (const Piece& piece : state.pieces())
    RETURN_IF_ERROR(checkpoint.read(piece.name, piece.data));
  return state;
}

inline SaveOptions options_of(std::int64_t step) {
  SaveOptions options;
  options.files = {{"resolved.yaml", "step: " + std::to_string(step) + "\n"}, {"empty.txt", ""}};
  options.origin = {.spec_hash = "abc",
                    .tokenizer_fingerprint = "def",
                    .data_position = step,
                    .isa = "avx2",
                    .versions = {{"boreal", "0.1.0"}, {"oneDNN", "2.6"}}};
  return options;
}

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    // In memory where possible: hundreds of saves sync thousands of files, and neither a kill nor
    // the simulated power cut is any different there.
    std::string in_memory = "/dev/shm/boreal-ckpt-XXXXXX";
    std::string on_disk = testing::TempDir() + "/boreal-ckpt-XXXXXX";
    const char* made = mkdtemp(in_memory.data());
    if (made == nullptr) made = mkdtemp(on_disk.data());
    CHECK(made != nullptr, "no folder for the test");
    folder_ = made;
    root_ = folder_ + "/checkpoints";
  }
  ~CheckpointTest() override { std::filesystem::remove_all(folder_); }

  static Result<Saved> save_step(Env& env, const std::string& root, std::int64_t step,
                                 SaveOptions options) {
    State state(step);
    return save(env, root, step, state.pieces(), R"({"note": "a \"b\"", "x": [1, 2.5]})", options);
  }
  Result<Saved> save_step(std::int64_t step) {
    return save_step(env_, root_, step, options_of(step));
  }

  // The folder holds the whole checkpoint of this step, value for value.
  void expect_step(const std::string& dir, std::int64_t step) {
    Result<Checkpoint> checkpoint = Checkpoint::open(env_, dir);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const Status verified = checkpoint->verify();
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    EXPECT_EQ(checkpoint->step(), step);
    const Result<State> state = read_state(*checkpoint);
    ASSERT_TRUE(state.ok()) << state.error().message;
    EXPECT_TRUE(*state == State(step));
    const Result<std::string> yaml = checkpoint->read_file("resolved.yaml");
    ASSERT_TRUE(yaml.ok()) << yaml.error().message;
    EXPECT_EQ(*yaml, "step: " + std::to_string(step) + "\n");
  }

  // The newest whole one; fails the test if there is none, or if any is damaged.
  std::int64_t newest_step() {
    const Result<std::vector<Found>> all = list(env_, root_);
    EXPECT_TRUE(all.ok());
    for (const Found& found : *all) EXPECT_EQ(found.damage, "");
    const Result<Newest> newest = newest_whole(env_, root_);
    EXPECT_TRUE(newest.ok()) << newest.error().message;
    if (!newest.ok()) return -1;
    EXPECT_NE(newest->dir, "");
    EXPECT_TRUE(newest->warnings.empty()) << newest->warnings.front();
    expect_step(newest->dir, newest->step);
    return newest->step;
  }

  std::vector<std::string> names_in_root() { return *env_.list_dir(root_); }

  Env& env_ = Env::real();
  std::string folder_;
  std::string root_;
};

}  // namespace boreal::ckpt
