// A model through a GGUF file and back. That llama.cpp computes the same from it: docs/oracle.md.
#include "infer/gguf_model.h"

#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "infer/gguf_tokenizer.h"
#include "infer/session.h"
#include "model/family.h"
#include "model/gguf.h"
#include "parallel/sharded_state.h"

namespace boreal::infer {
namespace {

using kernels::WeightFormat;
using tensor::GgufType;
using testing::HasSubstr;

class GgufModel : public testing::TestWithParam<std::tuple<const char*, GgufType>> {
 protected:
  GgufModel() {
    std::filesystem::create_directories(folder_);
    path_ = folder_ + "model.gguf";
  }
  ~GgufModel() override { std::filesystem::remove_all(folder_); }

  static model::DecoderConfig config(const std::string& family, GgufType type, bool tied) {
    spec::ModelSpec spec;
    spec.family = family;
    spec.hidden = 64;
    spec.layers = 2;
    spec.heads = 4;
    spec.kv_heads = family == "llama" ? 2 : 4;
    spec.ffn = 96;
    spec.vocab = 101;
    spec.context = 64;
    spec.dtype = type == GgufType::f32 ? "fp32" : "bf16";
    spec.init_std = 0.2;
    spec.tied_embeddings = tied;
    return model::config_of(spec, 0).value();
  }

  // Writes a drawn model and returns its logits as they are without the file.
  std::vector<float> write(const model::DecoderConfig& config, GgufType type,
                           const std::string& tokenizer = {}) {
    model::Decoder model(config);
    parallel::ShardedState state(model.parameters(), false);
    state.initialise(device::cpu_context(pool_), 5);
    Weights weights(model.parameters(), config.dtype, [&](const nn::Parameter&) {
      if (type == GgufType::q8_0) return WeightFormat::q8_0;
      return type == GgufType::q4_0 ? WeightFormat::q4_0 : WeightFormat::plain;
    });
    for (const nn::Parameter* p : model.parameters()) weights.publish(ctx_, *p, state.master(*p));
    if (type == GgufType::q8_0 || type == GgufType::q4_0) round_table(model, state, weights, type);
    const auto written = write_gguf_model(env_, ctx_, path_, model,
                                          [&](const nn::Parameter& p) { return state.master(p); },
                                          {type, "drawn", tokenizer});
    EXPECT_TRUE(written.ok()) << written.error().message;
    model.prepare(ctx_);
    return logits(model, weights);
  }
  std::vector<float> logits(const model::Decoder& model, nn::WeightSource& weights) {
    Engine engine(model, weights, ctx_, {.sequences = 1, .capacity = 64, .rows = 64});
    return engine.all_logits(std::vector<std::int32_t>{1, 100, 7, 7, 50, 3}, 0);
  }
  // The file has the table that is looked up in blocks too.
  void round_table(const model::Decoder& model, const parallel::ShardedState& state,
                   Weights& weights, GgufType type) {
    const WeightFormat format = type == GgufType::q8_0 ? WeightFormat::q8_0 : WeightFormat::q4_0;
    for (const nn::Parameter* p : model.parameters()) {
      if (p->name != "embedding.weight") continue;
      const tensor::Block blocks(p->shape[0] * kernels::block_row_bytes(format, p->shape[1]));
      const tensor::Tensor view(
          blocks.data(), DType::u8,
          tensor::Shape{p->shape[0], kernels::block_row_bytes(format, p->shape[1])});
      kernels::to_blocks(ctx_, state.master(*p), format, view);
      kernels::from_blocks(ctx_, view, format, weights.acquire_plain(*p));
    }
  }
  Result<Session> open(const SessionOptions& options = {}) {
    return open_session(env_, pool_, path_, {}, options);
  }

  Env& env_ = Env::real();
  device::Pool pool_{2};
  device::Context ctx_ = device::cpu_context(pool_);
  std::string folder_ = testing::TempDir() + "gguf_model/";
  std::string path_;
};

TEST_P(GgufModel, ComesBackWithTheSameLogits) {
  const auto [family, type] = GetParam();
  for (const bool tied : {true, false}) {
    if (!tied && std::string_view(family) == "gpt2") continue;
    const std::vector<float> before = write(config(family, type, tied), type);
    auto session = open();
    ASSERT_TRUE(session.ok()) << session.error().message;
    EXPECT_EQ(session->model->config().tied, tied);
    EXPECT_FALSE(session->tokenizer.has_value());
    const std::vector<float> after = logits(*session->model, *session->weights);
    ASSERT_EQ(after.size(), before.size());
    EXPECT_EQ(std::memcmp(after.data(), before.data(), before.size() * 4), 0);
    const auto [low, high] = std::ranges::minmax(after);
    EXPECT_GT(high - low, 0.1F);
  }
}

std::string name_of_case(const testing::TestParamInfo<GgufModel::ParamType>& test) {
  return fmt::format("{}_{}", std::get<0>(test.param), tensor::name_of(std::get<1>(test.param)));
}
INSTANTIATE_TEST_SUITE_P(All, GgufModel,
                         testing::Combine(testing::Values("llama", "gpt2"),
                                          testing::Values(GgufType::f32, GgufType::bf16,
                                                          GgufType::q8_0, GgufType::q4_0)),
                         name_of_case);

class GgufFiles : public GgufModel {};
INSTANTIATE_TEST_SUITE_P(One, GgufFiles, testing::Values(std::tuple{"llama", GgufType::q8_0}));

TEST_P(GgufFiles, RowsOfAHeadStandAsLlamaCppTurnsThem) {
  const model::GgufRows rows{"blk.0.attn_q.weight", "", 16, 16, 8};
  std::vector<std::int64_t> order;
  for (std::int64_t r = 0; r < 16; ++r) order.push_back(rows.our_row(r) - 16);
  EXPECT_THAT(order, testing::ElementsAre(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
}

TEST_P(GgufFiles, TheTokenizerComesBackWholeAndOutOfTheLists) {
  const std::string json =
      env_.read_file(BOREAL_SOURCE_DIR "/tests/golden/tokenizer_gpt2.json").value();
  const auto given = text::Tokenizer::parse(json, "given").value();
  model::DecoderConfig c = config("llama", GgufType::q8_0, true);
  c.vocab = given.vocab_size() + 3;
  write(c, GgufType::q8_0, json);
  const auto session = open();
  ASSERT_TRUE(session.ok()) << session.error().message;
  ASSERT_TRUE(session->tokenizer.has_value());
  EXPECT_EQ(session->tokenizer->fingerprint(), given.fingerprint());
  const auto file = tensor::GgufFile::open(env_, path_).value();
  EXPECT_EQ(file.text("tokenizer.ggml.pre").value(), "gpt-2");
  const auto listed = text::Tokenizer::parse(tokenizer_of_lists(file).value(), "lists");
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  EXPECT_EQ(listed->fingerprint(), given.fingerprint());
}

TEST_P(GgufFiles, AnEngineThatDoesNotFitIsRefusedWithItsPlan) {
  write(config("llama", GgufType::q8_0, true), GgufType::q8_0);
  const auto session =
      open({.limits =
                [](const model::DecoderConfig& config) {
                  return EngineLimits{.sequences = 8, .capacity = config.context, .rows = 64};
                },
            .memory_bytes = 100'000});
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().kind, ErrorKind::refused);
  for (const char* part : {"keys and values", "weights", "this machine gives 0.00 GB", "q8_0"})
    EXPECT_THAT(session.error().message, HasSubstr(part));
}

TEST_P(GgufFiles, MissingMisshapenExtraAndNotFiniteTensorsAreNamed) {
  write(config("llama", GgufType::q8_0, true), GgufType::q8_0);
  const std::string whole = env_.read_file(path_).value();
  const auto complaint = [&](const std::string& bytes) {
    EXPECT_TRUE(env_.write_file(path_, bytes).ok());
    const auto session = open();
    return session.ok() ? std::string() : session.error().message;
  };
  const auto renamed = [&](const std::string& from, const std::string& to) {
    std::string bytes = whole;
    bytes.replace(bytes.find(from), to.size(), to);
    return complaint(bytes);
  };
  EXPECT_EQ(complaint(whole), "");
  EXPECT_THAT(renamed("blk.1.attn_k.weight", "blk.7.attn_k.weight"),
              HasSubstr("no tensor \"blk.1.attn_k.weight\""));
  EXPECT_THAT(renamed("llama.block_count", "llama.block_cuont"), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(renamed("general.architecture", "general.archytecture"),
              HasSubstr("no \"general.architecture\""));
  // The file's own facts say how large a tensor is.
  std::string other = whole;
  const std::size_t ffn = whole.find("llama.feed_forward_length") + 25 + 4;
  other[ffn] = 64;
  EXPECT_THAT(complaint(other), HasSubstr("ffn_gate.weight\" has shape [96, 64]"));
  // The scale of a block.
  const auto file = tensor::GgufFile::open(env_, path_);
  EXPECT_TRUE(env_.write_file(path_, whole).ok());
  const auto good = tensor::GgufFile::open(env_, path_).value();
  std::string broken = whole;
  const auto at = static_cast<std::size_t>(good.find("blk.1.ffn_up.weight")->offset);
  broken[at] = '\0';
  broken[at + 1] = '\x7e';
  EXPECT_THAT(complaint(broken), HasSubstr("blk.1.ffn_up.weight\", row 0"));
}

}  // namespace
}  // namespace boreal::infer
