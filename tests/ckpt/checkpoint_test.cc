#include "ckpt/checkpoint.h"

#include <fstream>

#include "base/hash.h"
#include "fixture.h"

namespace boreal::ckpt {
namespace {

using tensor::Shape;
using tensor::Tensor;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Checkpoints : public CheckpointTest {
 protected:
  // xor at one place, in the file itself.
  static void flip(const std::string& path, std::uint64_t at, int bits) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ bits));
    ASSERT_TRUE(file.good()) << path;
  }
  std::string file(const std::string& name) const { return root_ + "/step-1/" + name; }
  const std::vector<std::string> names_ = {"empty.txt", "manifest.json", "rank-0.bin",
                                           "resolved.yaml"};
};

TEST_F(Checkpoints, WhatWasSavedIsReadBackBitForBit) {
  SaveOptions options = options_of(3);
  options.loss = 0.1;
  const Result<Saved> saved = save_step(env_, root_, 3, options);
  ASSERT_TRUE(saved.ok()) << saved.error().message;
  EXPECT_EQ(saved->dir, root_ + "/step-3");
  expect_step(saved->dir, 3);
  Result<Checkpoint> checkpoint = Checkpoint::open(env_, saved->dir);
  EXPECT_EQ(checkpoint->loss(), 0.1);
  EXPECT_EQ(checkpoint->meta_json(), R"({"note":"a \"b\"","x":[1,2.5]})");
  EXPECT_EQ(checkpoint->origin().spec_hash, "abc");
  EXPECT_EQ(checkpoint->origin().data_position, 3);
  EXPECT_EQ(checkpoint->origin().versions.at("oneDNN"), "2.6");
  EXPECT_EQ(checkpoint->find("block.0.weight")->shape, (Shape{5, 7}));
  EXPECT_EQ(checkpoint->find("none"), nullptr);
  EXPECT_EQ(checkpoint->tensors().size(), 5U);
  EXPECT_EQ(*checkpoint->read_file("empty.txt"), "");
  std::uint64_t bytes = 0;
  const std::vector<std::string> names = *env_.list_dir(saved->dir);
  for (const std::string& name : names) bytes += *env_.file_size(join_path(saved->dir, name));
  EXPECT_EQ(saved->bytes, static_cast<std::int64_t>(bytes));
}

TEST_F(Checkpoints, TheSameStateGivesTheSameBytes) {
  ASSERT_TRUE(save_step(env_, folder_ + "/a", 1, options_of(1)).ok());
  ASSERT_TRUE(save_step(env_, folder_ + "/b", 1, options_of(1)).ok());
  for (const std::string& name : names_)
    EXPECT_EQ(*env_.read_file(folder_ + "/a/step-1/" + name),
              *env_.read_file(folder_ + "/b/step-1/" + name));
}

TEST_F(Checkpoints, TensorsLieAtMultiplesOf64WhereTheManifestSays) {
  ASSERT_TRUE(save_step(1).ok());
  const Result<Checkpoint> checkpoint = Checkpoint::open(env_, root_ + "/step-1");
  const std::string data = *env_.read_file(file("rank-0.bin"));
  std::vector<std::int64_t> begins;
  for (const TensorRecord& tensor : checkpoint->tensors()) {
    ASSERT_EQ(tensor.pieces.size(), 1U);
    const PieceRecord& piece = tensor.pieces[0];
    begins.push_back(piece.begin);
    EXPECT_EQ(xxh3_128_hex(std::string_view(data).substr(static_cast<std::size_t>(piece.begin),
                                                         static_cast<std::size_t>(piece.bytes))),
              piece.hash);
  }
  EXPECT_THAT(begins, ElementsAre(0, 192, 256, 256, 320));
  EXPECT_EQ(data.size(), 387U);
}

TEST_F(Checkpoints, AFlippedByteAtAnyPlaceOfAnyFileIsRefused) {
  ASSERT_TRUE(save_step(1).ok());
  int flips = 0;
  for (const std::string& name : names_) {
    for (std::uint64_t at = 0; at < *env_.file_size(file(name)); ++at) {
      for (const int bits : {1, 255}) {
        flip(file(name), at, bits);
        Result<Checkpoint> checkpoint = Checkpoint::open(env_, root_ + "/step-1");
        Error error;
        if (!checkpoint.ok()) {
          error = checkpoint.error();
        } else {
          const Status status = checkpoint->verify();
          ASSERT_FALSE(status.ok()) << name << " byte " << at << " xor " << bits;
          error = status.error();
          // And who reads without verify() gets an error or the right values.
          Result<Checkpoint> again = Checkpoint::open(env_, root_ + "/step-1");
          const Result<State> state = read_state(*again);
          ASSERT_TRUE(!state.ok() || *state == State(1)) << name << " byte " << at;
        }
        ASSERT_EQ(error.kind, ErrorKind::refused) << error.message;
        ASSERT_THAT(error.message, HasSubstr(name));
        flip(file(name), at, bits);
        ++flips;
      }
    }
  }
  EXPECT_GT(flips, 3000);
  expect_step(root_ + "/step-1", 1);
}

TEST_F(Checkpoints, AFileCutAnywhereOrLengthenedOrMissingIsRefused) {
  ASSERT_TRUE(save_step(1).ok());
  for (const std::string& name : names_) {
    const std::string content = *env_.read_file(file(name));
    const auto expect_refused = [&] {
      const Result<Checkpoint> checkpoint = Checkpoint::open(env_, root_ + "/step-1");
      ASSERT_FALSE(checkpoint.ok());
      EXPECT_EQ(checkpoint.error().kind, ErrorKind::refused);
      EXPECT_THAT(checkpoint.error().message, HasSubstr(name));
    };
    for (std::size_t length = content.size(); length-- > 0;) {
      ASSERT_TRUE(env_.truncate(file(name), length).ok());
      expect_refused();
    }
    ASSERT_TRUE(env_.remove_all(file(name)).ok());
    expect_refused();
    ASSERT_TRUE(env_.write_file(file(name), content + '\0').ok());
    expect_refused();
    ASSERT_TRUE(env_.write_file(file(name), content).ok());
  }
  expect_step(root_ + "/step-1", 1);
}

TEST_F(Checkpoints, AnyRankCountReadsWhatAnyOtherWrote) {
  // 6 x 8 stored as five uneven boxes of three ranks.
  std::vector<float> all(48);
  for (int i = 0; i < 48; ++i) all[static_cast<std::size_t>(i)] = static_cast<float>(i) + 0.5F;
  const auto box = [&](std::vector<float>& memory, std::int64_t r, std::int64_t c, std::int64_t h,
                       std::int64_t w) {
    for (std::int64_t i = r; i < r + h; ++i)
      for (std::int64_t j = c; j < c + w; ++j)
        memory.push_back(all[static_cast<std::size_t>(i * 8 + j)]);
    return Piece{"w", {6, 8}, {r, c}, Tensor(memory.data(), DType::f32, {h, w})};
  };
  std::vector<std::vector<float>> memory(5);
  const std::vector<std::vector<Piece>> ranks = {
      {box(memory[0], 0, 0, 2, 8)},
      {box(memory[1], 2, 0, 3, 3), box(memory[2], 5, 0, 1, 8)},
      {box(memory[3], 2, 3, 3, 1), box(memory[4], 2, 4, 3, 4)}};
  const Result<std::string> stage = begin_save(env_, root_, 9, 48 * 4);
  ASSERT_TRUE(stage.ok()) << stage.error().message;
  for (std::size_t rank = 3; rank-- > 0;)
    ASSERT_TRUE(write_rank(env_, *stage, 9, static_cast<std::int64_t>(rank), ranks[rank]).ok());
  const Result<Saved> saved = commit_save(env_, root_, 9, 3, "{}", {});
  ASSERT_TRUE(saved.ok()) << saved.error().message;
  EXPECT_THAT(*env_.list_dir(saved->dir),
              ElementsAre("manifest.json", "rank-0.bin", "rank-1.bin", "rank-2.bin"));
  Result<Checkpoint> checkpoint = Checkpoint::open(env_, saved->dir);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  ASSERT_TRUE(checkpoint->verify().ok());
  for (std::int64_t r = 0; r < 6; ++r)
    for (std::int64_t c = 0; c < 8; ++c)
      for (std::int64_t h = 0; r + h <= 6; ++h)
        for (std::int64_t w = 0; c + w <= 8; ++w) {
          std::vector<float> got(static_cast<std::size_t>(h * w), -1);
          const std::vector<std::int64_t> offset = {r, c};
          ASSERT_TRUE(checkpoint->read("w", Tensor(got.data(), DType::f32, {h, w}), offset).ok());
          for (std::int64_t i = 0; i < h * w; ++i)
            ASSERT_EQ(got[static_cast<std::size_t>(i)],
                      all[static_cast<std::size_t>((r + i / w) * 8 + c + i % w)]);
        }
}

TEST_F(Checkpoints, DamageInOneBoxLeavesTheOthersReadable) {
  State state(1);
  const Tensor w(state.weight.data(), DType::f32, {5, 7});
  const std::vector<Piece> pieces = {{"w", {5, 7}, {0, 0}, w.row_slice(0, 2)},
                                     {"w", {5, 7}, {2, 0}, w.row_slice(2, 5)}};
  ASSERT_TRUE(save(env_, root_, 1, pieces, "{}", {}).ok());
  flip(file("rank-0.bin"), 64 + 3, 1);  // the second box begins at 64
  Result<Checkpoint> checkpoint = Checkpoint::open(env_, root_ + "/step-1");
  std::vector<float> rows(14);
  const Tensor into(rows.data(), DType::f32, {2, 7});
  EXPECT_TRUE(checkpoint->read("w", into, std::vector<std::int64_t>{0, 0}).ok());
  EXPECT_EQ(rows[13], 1013);
  const Status status = checkpoint->read("w", into, std::vector<std::int64_t>{1, 0});
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("rank-0.bin: tensor 'w', box [2, 0]+[3, 7]"));
}

TEST_F(Checkpoints, AnotherModelsWishesAreRefusedWithBothSides) {
  ASSERT_TRUE(save_step(1).ok());
  Result<Checkpoint> checkpoint = Checkpoint::open(env_, root_ + "/step-1");
  std::vector<float> memory(64);
  const auto message = [&](const std::string& name, DType dtype, const Shape& shape) {
    const Status status = checkpoint->read(name, Tensor(memory.data(), dtype, shape));
    EXPECT_EQ(status.error().kind, ErrorKind::refused);
    return status.error().message;
  };
  EXPECT_THAT(message("wte", DType::f32, {5, 7}), HasSubstr("no tensor 'wte'"));
  EXPECT_THAT(message("bias", DType::f32, {9}), HasSubstr("'bias' is bf16, fp32 is wanted"));
  EXPECT_THAT(message("block.0.weight", DType::f32, {7, 5}),
              HasSubstr("has shape [5, 7], [7, 5] is wanted"));
  const Status outside = checkpoint->read(
      "block.0.weight", Tensor(memory.data(), DType::f32, {2, 7}), std::vector<std::int64_t>{4, 0});
  EXPECT_THAT(outside.error().message, HasSubstr("box [4, 0]+[2, 7] reaches out of [5, 7]"));
  EXPECT_THAT(checkpoint->read_file("config.json").error().message,
              HasSubstr("not a file of this checkpoint"));
  EXPECT_THAT(checkpoint->read_file("rank-0.bin").error().message,
              HasSubstr("not a file of this checkpoint"));
}

TEST_F(Checkpoints, AFolderThatIsNoCheckpointSaysSo) {
  ASSERT_TRUE(env_.make_dirs(root_).ok());
  EXPECT_THAT(Checkpoint::open(env_, root_).error().message, HasSubstr("is no checkpoint"));
  EXPECT_THAT(Checkpoint::open(env_, root_ + "/gone").error().message,
              HasSubstr("is no checkpoint"));
}

// A manifest with a good seal can still be wrong: made by a bug, or by an enemy.
class SealedManifest : public Checkpoints {
 protected:
  void SetUp() override {
    ASSERT_TRUE(save_step(1).ok());
    const std::string text = *env_.read_file(file("manifest.json"));
    body_ = text.substr(0, text.find("\"xxh3_128\": \"", text.rfind('\n', text.size() - 2)));
  }
  // Replaces once in the body, seals it anew, opens.
  void expect_refused(const std::string& from, const std::string& to, const std::string& why) {
    std::string body = body_;
    const std::size_t at = body.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    body.replace(at, from.size(), to);
    const std::string text = body + "\"xxh3_128\": \"" + xxh3_128_hex(body) + "\"}\n";
    ASSERT_TRUE(env_.write_file(file("manifest.json"), text).ok());
    const Result<Checkpoint> checkpoint = Checkpoint::open(env_, root_ + "/step-1");
    ASSERT_FALSE(checkpoint.ok()) << why;
    EXPECT_EQ(checkpoint.error().kind, ErrorKind::refused);
    EXPECT_THAT(checkpoint.error().message, HasSubstr(why));
  }
  std::string body_;
};

TEST_F(SealedManifest, WithAnotherFormatOrVersionIsRefused) {
  expect_refused("\"version\": 1", "\"version\": 2", "format version 2, this program reads 1");
  expect_refused("boreal-checkpoint", "boreal-checkpoint-vote", "not a 'boreal-checkpoint'");
  expect_refused("\"step\": 1", "\"step\": \"1\"", "'step' is not a whole number");
  expect_refused("\"step\": 1", "\"step\": -1", "step -1");
  expect_refused("\"step\": 1", "\"stop\": 1", "'step' is missing");
  expect_refused("\"step\": 1,", "\"step\": 1,,", "not valid JSON");
  expect_refused("\"ranks\": 1", "\"ranks\": 9000000000000000000", "ranks");
  expect_refused("\"ranks\": 1", "\"ranks\": 2", "does not list rank-1.bin");
  expect_refused("\"origin\": {", "\"origin\": 1, \"other\": {", "'origin' is not an object");
}

TEST_F(SealedManifest, WithTensorsThatCannotBeIsRefused) {
  expect_refused("\"dtype\":\"fp32\"", "\"dtype\":\"fp33\"", "'dtype' is not a known dtype");
  expect_refused("\"shape\":[5,7]", "\"shape\":[5,8]", "35 of the 40 elements");
  expect_refused("\"shape\":[5,7]", "\"shape\":[5,6]", "reaches out of [5, 6]");
  expect_refused("\"shape\":[5,7]", "\"shape\":[5,-7]", "'shape' is not a list of whole numbers");
  expect_refused("\"shape\":[5,7]", "\"shape\":[5,7,1,1,1]", "at most 4 dims");
  expect_refused("\"shape\":[5,7]", "\"shape\":[4000000000,4000000000]", "is impossible");
  expect_refused("\"bytes\":140", "\"bytes\":144", "needs 140 bytes, 144 are recorded");
  expect_refused("\"begin\":192", "\"begin\":200", "not a multiple of 64");
  expect_refused("\"begin\":192", "\"begin\":128",
                 "begins at byte 128, the one before ends at 140");
  expect_refused("\"begin\":320", "\"begin\":384", "begins at byte 384");
  expect_refused("\"file\":\"rank-0.bin\"", "\"file\":\"../x\"", "none of its 1 data files");
  expect_refused("\"name\":\"bias\"", "\"name\":\"scale\"", "'scale' stands twice");
  expect_refused("\"bytes\":387", "\"bytes\":388", "its pieces end at byte 387, it has 388");
  expect_refused("\"resolved.yaml\"", "\"../resolved.yaml\"", "no plain name");
  expect_refused("\"name\":\"empty.txt\"", "\"name\":\"resolved.yaml\"", "stands twice");
}

TEST(Origin, DifferencesAreToldOneByOne) {
  Origin saved = options_of(1).origin;
  Origin now = saved;
  now.data_position = 7;
  EXPECT_THAT(differences(saved, now), IsEmpty());
  now.isa = "avx512";
  now.versions = {{"boreal", "0.2.0"}, {"oneDNN", "2.6"}, {"MPI", "4.1"}};
  EXPECT_THAT(
      differences(saved, now),
      ElementsAre("instruction set was 'avx2' when the checkpoint was saved and is 'avx512' "
                  "now",
                  "version of MPI was '' when the checkpoint was saved and is '4.1' now",
                  HasSubstr("version of boreal was '0.1.0'")));
}

TEST(Origin, ALayoutThatChangedIsToldWhereBothSaidOne) {
  Origin saved = options_of(1).origin;
  Origin now = saved;
  saved.layout = "dp_shard 2";
  EXPECT_THAT(differences(saved, now), IsEmpty());
  EXPECT_THAT(differences(now, saved), IsEmpty());
  now.layout = "one rank";
  EXPECT_THAT(differences(saved, now),
              ElementsAre("layout was 'dp_shard 2' when the checkpoint was saved and is 'one "
                          "rank' now"));
}

TEST(Origin, TheLayoutIsKeptByTheManifestAndIsNoKeyWhereNobodySaidIt) {
  Manifest manifest{.ranks = 1, .loss = {}, .origin = options_of(1).origin};
  manifest.files = {{.name = data_file_name(0), .bytes = 0, .hash = {}}};
  const std::string without = encode(manifest).value();
  EXPECT_THAT(without, Not(HasSubstr("layout")));
  EXPECT_EQ(decode_manifest("manifest.json", without).value().origin.layout, "");
  manifest.origin.layout = "dp_shard 2 x tp 2";
  const std::string with = encode(manifest).value();
  EXPECT_THAT(with, HasSubstr("\"layout\":\"dp_shard 2 x tp 2\""));
  EXPECT_EQ(decode_manifest("manifest.json", with).value().origin.layout, "dp_shard 2 x tp 2");
}

}  // namespace
}  // namespace boreal::ckpt
