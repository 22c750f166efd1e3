// Folders that are imported and exported: the bits of every family there and back, and what is
// refused.
#include "model/hf_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "base/env.h"
#include "model/folder.h"
#include "tensor/safetensors.h"
#include "tests/model/rig.h"

namespace boreal::model {
namespace {

using tensor::Shape;
using tensor::Tensor;

std::string temp_folder(const std::string& name) {
  const std::string folder = testing::TempDir() + "boreal_hf_folder_" + name;
  (void)Env::real().remove_all(folder);
  return folder;
}

// A model's weights in memory, drawn by name.
class Weights {
 public:
  explicit Weights(const DecoderConfig& config) : model(config) {
    for (const nn::Parameter* p : model.parameters())
      values_.push_back(reference::random_values(p->name, DType::f32, p->shape));
  }
  ParameterMemory memory() {
    return [this](const nn::Parameter& p) {
      return values_[static_cast<std::size_t>(p.index)].tensor();
    };
  }
  void clear() {
    for (const nn::Parameter* p : model.parameters())
      values_[static_cast<std::size_t>(p->index)] = reference::Values(DType::f32, p->shape);
  }
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all;
    for (const auto& value : values_)
      all.insert(all.end(), value.bytes().begin(), value.bytes().end());
    return all;
  }

  const Decoder model;

 private:
  std::vector<reference::Values> values_;
};

TEST(HfFolder, OfEveryFamilyGoesThereAndBackToTheBit) {
  Env& env = Env::real();
  for (const std::string& family : all_families()) {
    if (family == "alibi") continue;
    for (const bool tied : {true, false}) {
      DecoderConfig config = tiny(family, DType::f32);
      config.tied = tied;
      Weights weights(config);
      const auto before = weights.bytes();
      const std::string folder = temp_folder(family);
      const Status written = write_hf_folder(env, folder, weights.model, weights.memory(), {});
      ASSERT_TRUE(written.ok()) << written.error().message;
      const auto back = read_config(env, folder);
      ASSERT_TRUE(back.ok()) << back.error().message;
      EXPECT_EQ(back->family, config.family);
      weights.clear();
      EXPECT_NE(weights.bytes(), before);
      const Status read = read_weights(env, folder, Decoder(*back), weights.memory());
      ASSERT_TRUE(read.ok()) << read.error().message;
      EXPECT_EQ(weights.bytes(), before) << family;
    }
  }
}

TEST(HfFolder, OfAModelThatTransformersDoesNotKnowIsNotWritten) {
  Weights weights(tiny("alibi", DType::f32));
  const std::string folder = temp_folder("alibi");
  const Status written = write_hf_folder(Env::real(), folder, weights.model, weights.memory(), {});
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().kind, ErrorKind::refused);
  EXPECT_NE(written.error().message.find("alibi"), std::string::npos);
  EXPECT_FALSE(Env::real().exists(folder));
}

// A folder of a family whose tensors were changed by the test.
class ChangedFolder {
 public:
  explicit ChangedFolder(const DecoderConfig& config) : weights(config), folder(temp_folder("x")) {
    CHECK(write_hf_folder(Env::real(), folder, weights.model, weights.memory(), {}).ok());
    const auto file =
        tensor::SafetensorsFile::open(Env::real(), join_path(folder, "model.safetensors")).value();
    for (const auto& entry : file.entries()) {
      const Tensor from = file.tensor(entry.name).value();
      reference::Values copy(DType::f32, from.shape);
      std::memcpy(copy.tensor().data, from.data, static_cast<std::size_t>(from.bytes()));
      tensors[entry.name] = copy;
    }
  }
  // The message of reading it; "" if it was read.
  std::string message() {
    std::vector<tensor::NamedTensor> named;
    for (auto& [name, values] : tensors) named.emplace_back(name, values.tensor());
    CHECK(tensor::write_safetensors(Env::real(), join_path(folder, "model.safetensors"), named, {})
              .ok());
    const Status read = read_weights(Env::real(), folder, weights.model, weights.memory());
    if (read.ok()) return "";
    EXPECT_EQ(read.error().kind, ErrorKind::refused);
    EXPECT_NE(read.error().message.find(folder), std::string::npos);
    return read.error().message;
  }

  Weights weights;
  std::string folder;
  std::map<std::string, reference::Values> tensors;
};

void expect_says(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(message.find(word), std::string::npos) << word << " is not in: " << message;
}

TEST(HfFolder, WithAMissingExtraOrMisshapenTensorIsRefusedByName) {
  for (const std::string& family : all_families()) {
    if (family == "alibi") continue;
    const DecoderConfig config = tiny(family, DType::f32);
    for (const auto& [name, values] : ChangedFolder(config).tensors) {
      if (name.find(".1.") != std::string::npos || name.find("h.1") != std::string::npos)
        continue;  // one layer will do
      ChangedFolder changed(config);
      changed.tensors.erase(name);
      expect_says(changed.message(), {"\"" + name + "\"", family});
    }
    ChangedFolder extra(config);
    extra.tensors["model.layers.0.extra.weight"] = reference::Values(DType::f32, Shape{3});
    expect_says(extra.message(), {"model.layers.0.extra.weight", "no part", family});
  }
  ChangedFolder misshapen(tiny("neox", DType::f32));
  misshapen.tensors["gpt_neox.layers.0.attention.dense.weight"] =
      reference::Values(DType::f32, Shape{172, 170});
  expect_says(misshapen.message(),
              {"gpt_neox.layers.0.attention.dense.weight", "[172, 170]", "[172, 172]"});
}

TEST(HfFolder, WithANumberThatIsNoneIsRefused) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {nan, std::numeric_limits<float>::infinity()}) {
    ChangedFolder changed(tiny("gemma2", DType::f32));
    changed.tensors.at("model.layers.1.mlp.down_proj.weight").set(3, 1, static_cast<double>(bad));
    expect_says(changed.message(),
                {"model.layers.1.mlp.down_proj.weight", "element 265", fmt::format("{}", bad)});
  }
}

TEST(HfFolder, WithAHeadBesideATiedEmbeddingMustHaveTheSameTwice) {
  for (const std::string family : {"llama", "neox", "gemma2"}) {
    DecoderConfig config = tiny(family, DType::f32);
    config.tied = true;
    const std::string head = hf_head_name(config);
    ChangedFolder same(config);
    const std::string embedding = hf_tensors(config)[0].hf_name;
    same.tensors[head] = same.tensors.at(embedding);
    EXPECT_EQ(same.message(), "");
    ChangedFolder other(config);
    other.tensors[head] = other.tensors.at(embedding);
    other.tensors[head].set(2, 5, 1234.5);
    expect_says(other.message(), {head, "tie_word_embeddings", "1234.5"});
    ChangedFolder small(config);
    small.tensors[head] = reference::Values(DType::f32, Shape{3, 4});
    expect_says(small.message(), {head, "tie_word_embeddings", "[3, 4]"});
    config.tied = false;
    ChangedFolder none(config);
    none.tensors.erase(head);
    expect_says(none.message(), {head, "tie_word_embeddings"});
  }
}

// A checkpoint of one rank with these pieces.
std::string checkpoint_of(Weights& weights, const std::vector<ckpt::Piece>& pieces) {
  const std::string root = temp_folder("checkpoint");
  ckpt::SaveOptions options;
  options.files = model_files(weights.model, "", -1);
  const auto saved = ckpt::save(Env::real(), dist::Group(), root, 1, pieces, "{}", options);
  CHECK(saved.ok(), "{}", saved.error().message);
  return saved->dir;
}

TEST(Checkpoint, WithAMissingExtraMisshapenOrBrokenTensorIsRefusedByName) {
  Weights weights(tiny("olmo2", DType::f32));
  const auto message = [&](const std::vector<ckpt::Piece>& pieces) {
    const std::string dir = checkpoint_of(weights, pieces);
    const Status read = read_weights(Env::real(), dir, weights.model, weights.memory());
    if (read.ok()) return std::string();
    EXPECT_EQ(read.error().kind, ErrorKind::refused);
    return read.error().message;
  };
  const std::vector<ckpt::Piece> whole = weight_pieces(weights.model, weights.memory());
  EXPECT_EQ(message(whole), "");
  std::vector<ckpt::Piece> missing = whole;
  missing.erase(missing.begin() + 2);
  expect_says(message(missing), {whole[2].name});
  reference::Values small(DType::f32, Shape{5});
  std::vector<ckpt::Piece> extra = whole;
  extra.push_back(ckpt::whole("blocks.0.attention.sinks", small.tensor()));
  expect_says(message(extra), {"blocks.0.attention.sinks", "no part"});
  std::vector<ckpt::Piece> misshapen = whole;
  misshapen.back() = ckpt::whole(whole.back().name, small.tensor());
  expect_says(message(misshapen), {whole.back().name, "5"});
  static_cast<float*>(weights.memory()(*weights.model.parameters()[1]).data)[7] =
      std::numeric_limits<float>::quiet_NaN();
  expect_says(message(whole), {weights.model.parameters()[1]->name, "element 7", "nan"});
}

}  // namespace
}  // namespace boreal::model
