#include "model/family.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/model/rig.h"

namespace boreal::model {
namespace {

std::vector<DecoderConfig> all_configs() {
  std::vector<DecoderConfig> all;
  for (const std::string& family : all_families())
    for (const bool tied : {true, false}) {
      DecoderConfig config = tiny(family, tied ? DType::bf16 : DType::f32);
      config.tied = tied;
      all.push_back(config);
    }
  return all;
}

std::string text_of(const DecoderConfig& c) {
  const AttentionFeatures& a = c.attention;
  const std::string sizes =
      fmt::format("{} {} {} {} {} {} {} {} {} {}", c.family, c.hidden, c.layers, c.heads,
                  c.kv_heads, c.head_size, c.ffn, c.vocab, c.context, boreal::name_of(c.dtype));
  const std::string kinds =
      fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(c.norm), c.norm_plus_one,
                  static_cast<int>(c.placement), static_cast<int>(c.mlp), c.qkv_bias, c.bias,
                  static_cast<int>(a.qk_norm), static_cast<int>(c.position));
  const std::string attention = fmt::format("{} {} {} {} {}", a.scalar, a.soft_cap, a.window,
                                            a.window_begin, a.window_period);
  const std::string rope = fmt::format("{} {} {} {} {} {} {}", c.rotary_percent, c.rope.theta,
                                       static_cast<int>(c.rope.scaling), c.rope.factor, c.rope.low,
                                       c.rope.high, c.rope.original_context);
  return fmt::format("{} | {} | {} | {} | {} {} {} {} {}", sizes, kinds, attention, rope,
                     c.norm_eps, c.scaled_embedding, c.logit_soft_cap, c.tied, c.init_std);
}

TEST(FamilyNames, CoverEveryRowOfEveryParameterExactlyOnce) {
  for (const DecoderConfig& config : all_configs()) {
    const Decoder model(config);
    std::map<std::string, std::vector<int>> covered;
    std::map<std::string, const nn::Parameter*> known;
    for (const nn::Parameter* p : model.parameters()) {
      covered[p->name].assign(static_cast<std::size_t>(p->shape[0]), 0);
      known[p->name] = p;
    }
    std::set<std::string> hf_names;
    for (const HfTensor& t : hf_tensors(config)) {
      EXPECT_TRUE(hf_names.insert(t.hf_name).second) << t.hf_name << " twice";
      ASSERT_TRUE(known.contains(t.parameter)) << t.parameter;
      if (t.transposed) {
        EXPECT_TRUE(known[t.parameter]->is_matrix()) << t.hf_name;
      }
      auto& rows = covered[t.parameter];
      ASSERT_LE(static_cast<std::size_t>(t.row_begin + t.rows), rows.size()) << t.hf_name;
      for (std::int64_t r = 0; r < t.rows; ++r) ++rows[static_cast<std::size_t>(t.row(r))];
    }
    for (const auto& [name, rows] : covered)
      EXPECT_EQ(rows, std::vector<int>(rows.size(), 1)) << config.family << " " << name;
  }
}

TEST(FamilyNames, OfACheckpointWithoutItsHeadAreAliases) {
  const DecoderConfig gpt2 = tiny_gpt2(DType::f32);
  EXPECT_EQ(hf_aliases(gpt2, "transformer.h.0.ln_1.weight"),
            std::vector<std::string>{"h.0.ln_1.weight"});
  EXPECT_EQ(hf_aliases(tiny_llama(DType::f32), "model.norm.weight"),
            std::vector<std::string>{"norm.weight"});
  EXPECT_TRUE(hf_aliases(gpt2, "lm_head.weight").empty());
}

TEST(FamilyConfig, SurvivesTheWayToHuggingFaceAndBack) {
  for (const DecoderConfig& config : all_configs()) {
    const auto back = config_from_hf(hf_config_json(config, 3), "config.json", config.dtype);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(text_of(*back), text_of(config));
  }
}

TEST(FamilyConfig, SurvivesTheWayToASpecAndBack) {
  for (const DecoderConfig& config : all_configs()) {
    const auto back = config_of(spec_of(config), 12345);  // the spec's own vocabulary counts
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(text_of(*back), text_of(config));
  }
}

TEST(FamilyConfig, TakesTheTokenizersVocabularyAndDerivesWidths) {
  spec::ModelSpec spec;
  spec.hidden = 256;
  const auto llama = config_of(spec, 2048);
  ASSERT_TRUE(llama.ok());
  EXPECT_EQ(llama->vocab, 2048);
  EXPECT_EQ(llama->kv_heads, llama->heads);
  EXPECT_EQ(llama->ffn, 704);  // 8/3 of 256 is 682.7, up to a multiple of 64
  spec.family = "gpt2";
  EXPECT_EQ(config_of(spec, 2048)->ffn, 1024);
}

TEST(FamilyConfig, OfASpecThatMakesNoModelIsWrongUsageAndSaysWhy) {
  const auto message = [](const auto& change, std::int64_t vocab = 64) {
    spec::ModelSpec spec;
    change(spec);
    const auto config = config_of(spec, vocab);
    EXPECT_FALSE(config.ok());
    if (config.ok()) return std::string();
    EXPECT_EQ(config.error().kind, ErrorKind::usage);
    return config.error().message;
  };
  using spec::ModelSpec;
  EXPECT_NE(message([](ModelSpec& s) { s.family = "lama"; }).find("lama"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.heads = 3; }).find("256"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.kv_heads = 3; }).find("key-value"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.hidden = 36; }).find("even"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.ffn = 33; }).find("even"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.layers = 0; }).find("0"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.hidden = -4; }).find("-4"), std::string::npos);
  EXPECT_NE(message([](ModelSpec&) {}, 0).find("0"), std::string::npos);  // no tokenizer
  EXPECT_NE(message([](ModelSpec& s) { s.hidden = 8192, s.heads = 4; }).find("1024"),
            std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.family = "gpt2", s.kv_heads = 2; }).find("kv_heads"),
            std::string::npos);
}

// config.json with one entry replaced by the given JSON text, or removed ("").
std::string with(const DecoderConfig& config, const std::string& key, const std::string& value) {
  std::string json = hf_config_json(config, 3);
  const std::size_t at = json.find("\"" + key + "\":");
  if (at == std::string::npos) return json.insert(1, "\"" + key + "\": " + value + ",");
  const std::size_t end = json.find('\n', at);
  return json.replace(at, end - at, value.empty() ? "" : "\"" + key + "\": " + value + ",");
}

struct Bad {
  std::string json;
  std::string says;
};

void expect_refused(const std::vector<Bad>& files) {
  for (const Bad& bad : files) {
    const auto config = config_from_hf(bad.json, "dir/config.json", DType::f32);
    ASSERT_FALSE(config.ok()) << bad.json;
    EXPECT_EQ(config.error().kind, ErrorKind::refused) << config.error().message;
    EXPECT_NE(config.error().message.find("dir/config.json"), std::string::npos)
        << config.error().message;
    EXPECT_NE(config.error().message.find(bad.says), std::string::npos) << config.error().message;
  }
}

TEST(FamilyConfig, OfABadHuggingFaceFileIsRefusedByName) {
  const DecoderConfig llama = tiny_llama(DType::f32);
  const std::string whole = hf_config_json(llama, 3);
  expect_refused({
      {"", "JSON"},
      {whole.substr(0, whole.size() / 2), "JSON"},
      {"[1, 2]", "JSON"},
      {"{}", "model_type"},
      {R"({"model_type": 7})", "model_type"},
      {R"({"model_type": "mamba"})", "mamba"},
      {with(llama, "hidden_size", ""), "hidden_size"},
      {with(llama, "hidden_size", "\"wide\""), "hidden_size is \"wide\""},
      {with(llama, "hidden_size", "-48"), "-48"},
      {with(llama, "num_attention_heads", "0"), "heads"},
      {with(llama, "num_attention_heads", "5"), "5"},
      {with(llama, "num_key_value_heads", "3"), "3"},
      {with(llama, "num_key_value_heads", "0"), "0"},
      {with(llama, "head_dim", "15"), "15"},
      {with(llama, "hidden_act", "\"gelu\""), "hidden_act"},
      {with(llama, "attention_bias", "true"), "attention_bias"},
      {with(llama, "rope_scaling", R"({"type": "yarn", "factor": 2})"), "yarn"},
      {with(llama, "rope_scaling", R"({"type": "linear", "factor": -2})"), "factor is -2"},
      {with(llama, "rope_scaling", R"({"type": "linear", "factor": 2, "beta_fast": 3})"),
       "beta_fast"},
      {with(llama, "rope_scaling", R"({"rope_type": "llama3", "factor": 2})"),
       "original_max_position_embeddings"},
      {with(llama, "rope_scaling", R"({"rope_type": "linear", "type": "llama3", "factor": 2})"),
       "type is \"llama3\", but rope_type \"linear\""},
      {with(llama, "rope_scaling", "[1]"), "rope_scaling"},
      {with(llama, "residual_multiplier", "0.22"), "residual_multiplier is 0.22"},
      {with(llama, "quantization_config", R"({"bits": 4})"), "quantization_config"},
      {with(llama, "sliding_window", "64"), "sliding_window"},
      {with(llama, "tie_word_embeddings", "\"yes\""), "tie_word_embeddings"},
      {with(llama, "rms_norm_eps", "\"small\""), "rms_norm_eps"},
      {with(llama, "position_embedding_type", "\"relative_key\""), "relative_key"},
      {with(llama, "rope_parameters", R"({"rope_type": "yarn"})"), "yarn"},
      {with(llama, "vocab_size", "4611686018427387904"), "4611686018427387904"},
  });
}

TEST(FamilyConfig, OfABadFileOfAnotherFamilyIsRefusedByName) {
  const DecoderConfig gpt2 = tiny_gpt2(DType::f32);
  expect_refused({
      {with(tiny("mistral", DType::f32), "sliding_window", "-1"), "sliding_window is -1"},
      {with(tiny("mistral", DType::f32), "layer_types", R"(["full_attention"])"), "layer_types"},
      {with(tiny("qwen2", DType::f32), "sliding_window", "null"), "use_sliding_window"},
      {with(tiny("qwen2", DType::f32), "head_dim", "34"), "head_dim is 34"},
      {with(tiny("qwen3", DType::f32), "layer_types", R"(["full_attention", "sliding_attention"])"),
       "for layer 1"},
      {with(tiny("gemma2", DType::f32), "hidden_activation", "\"gelu\""), "hidden_activation"},
      {with(tiny("gemma2", DType::f32), "query_pre_attn_scalar", "0"), "query_pre_attn_scalar"},
      {with(tiny("gemma2", DType::f32), "attn_logit_softcapping", "-50"), "attn_logit_softcapping"},
      {with(tiny("neox", DType::f32), "use_parallel_residual", "false"), "use_parallel_residual"},
      {with(tiny("neox", DType::f32), "rotary_pct", "0.25"), "21 of the 86"},
      {with(tiny("neox", DType::f32), "rotary_pct", "0"), "share of 0"},
      {with(tiny("neox", DType::f32), "hidden_act", "\"relu\""), "relu"},
      {with(tiny("olmo2", DType::f32), "attention_bias", "true"), "attention_bias"},
      {with(gpt2, "n_embd", ""), "n_embd"},
      {with(gpt2, "n_head", "0"), "heads"},
      {with(gpt2, "n_head", "3"), "3"},
      {with(gpt2, "activation_function", "\"relu\""), "relu"},
      {with(gpt2, "scale_attn_by_inverse_layer_idx", "true"), "scale_attn_by_inverse_layer_idx"},
  });
}

TEST(FamilyConfig, OfAChoiceThatTheFamilyHasNotSaysWhichHaveIt) {
  const auto message = [](const auto& change) {
    spec::ModelSpec spec;
    change(spec);
    const auto config = config_of(spec, 64);
    EXPECT_FALSE(config.ok());
    return config.ok() ? std::string() : config.error().message;
  };
  using spec::ModelSpec;
  EXPECT_EQ(
      message([](ModelSpec& s) { s.attention.window = 64; }),
      "model.attention.window is 64, but the llama family has no such choice; mistral, qwen2, "
      "qwen3 or gemma2 has");
  EXPECT_NE(message([](ModelSpec& s) { s.attention.soft_cap = 50; }).find("gemma2"),
            std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.rotary_percent = 0.5; }).find("neox"), std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.family = "gpt2", s.head_dim = 32; }).find("head_dim"),
            std::string::npos);
  EXPECT_NE(
      message([](ModelSpec& s) { s.position = "learned"; }).find("rotary positions, or alibi"),
      std::string::npos);
  EXPECT_NE(message([](ModelSpec& s) { s.family = "neox", s.hidden = 344; }).find("21 of the 86"),
            std::string::npos);
}

TEST(FamilyConfig, HarmlessKeysAndSwitchesThatAreOffAreReadOver) {
  std::string json = with(tiny_llama(DType::f32), "quantization_config", "null");
  json.insert(1, R"("pad_token_id": 7, "_name_or_path": "x", "use_mrope": false,)");
  const auto config = config_from_hf(json, "config.json", DType::f32);
  EXPECT_TRUE(config.ok()) << config.error().message;
}

TEST(FamilyConfig, ReadsTheRotaryBaseWhereTransformers5WritesIt) {
  const auto config = config_from_hf(with(tiny_llama(DType::f32), "rope_parameters",
                                          R"({"rope_type": "default", "rope_theta": 500})"),
                                     "config.json", DType::f32);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->rope.theta, 500);
}

TEST(Decoder, CountsParametersAndFlopsByTheDesignsFormula) {
  DecoderConfig c = tiny_llama(DType::f32);
  c.tied = true;
  const Decoder model(c);
  const std::int64_t qkv = (4 + 2 * 2) * 12 * 48;
  const std::int64_t block = 48 + qkv + 48 * 48 + 48 + 2 * 88 * 48 + 48 * 88;
  EXPECT_EQ(model.parameter_count(), 97 * 48 + 2 * block + 48);
  // Matrices with the head, which shares the embedding's table, and the causal half of attention.
  const std::int64_t matrices = 97 * 48 + 2 * (qkv + 48 * 48 + 3 * 88 * 48);
  EXPECT_EQ(model.flops_per_token(64), static_cast<double>(6 * matrices + 6 * 2 * 64 * 48));
  // An untied head adds a matrix; the embedding alone is a look-up.
  c.tied = false;
  EXPECT_EQ(Decoder(c).flops_per_token(64), model.flops_per_token(64));
  EXPECT_EQ(Decoder(c).parameter_count(), model.parameter_count() + 97 * 48);
  // Learned positions are looked up, not multiplied.
  const Decoder gpt2(tiny_gpt2(DType::f32));
  const std::int64_t gpt2_matrices = 61 * 40 + 2 * (4 * 40 * 40 + 2 * 150 * 40);
  EXPECT_EQ(gpt2.flops_per_token(64), static_cast<double>(6 * gpt2_matrices + 6 * 2 * 64 * 40));
}

// Yin et al. 2023 print 1.4, 13 and 22 B; L(12 h^2 + 13 h) + 2 h + 2 V h.
TEST(Decoder, OfForgesShapesHasTheirParameters) {
  struct Forge {
    std::int64_t layers, hidden, heads, parameters;
  };
  for (const Forge& forge : {Forge{24, 2064, 24, 1'442'608'032},
                             {40, 5120, 40, 13'119'047'680},
                             {48, 6144, 48, 22'387'273'728}}) {
    spec::ModelSpec spec;
    spec.family = "neox";
    spec.layers = forge.layers;
    spec.hidden = forge.hidden;
    spec.heads = forge.heads;
    spec.vocab = 52096;
    spec.context = 2048;
    spec.rotary_percent = 1;
    spec.tied_embeddings = false;
    const auto config = config_of(spec, 0);
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(Decoder(*config).parameter_count(), forge.parameters);
  }
}

TEST(Decoder, CountsOnlyTheKeysThatAWindowShowsAndHeadsOfTheirSize) {
  const DecoderConfig gemma = tiny("gemma2", DType::f32);  // layer 0 sees 9 keys
  const Decoder model(gemma);
  double matrices = 0;
  for (const nn::Parameter* p : model.parameters())
    if (p->is_matrix()) matrices += static_cast<double>(p->shape.elements());
  // Of 64 queries with a window of 9: 1 + 2 + ... + 9, then 55 times 9; with halves for the
  // diagonal, as the causal T / 2 has none.
  const double windowed = 9 - 81.0 / 128;
  EXPECT_NEAR(model.flops_per_token(64),
              6 * matrices + 12 * (windowed + 32) * static_cast<double>(4 * 14), 1e-6);
  // A window that hides nothing changes nothing.
  EXPECT_NEAR(model.flops_per_token(8), 6 * matrices + 12 * 8 * static_cast<double>(4 * 14), 1e-6);
}

TEST(Decoder, NamesAndNumbersEveryParameterOnce) {
  for (const DecoderConfig& config : all_configs()) {
    const Decoder model(config);
    std::set<std::string> names;
    for (std::size_t i = 0; i < model.parameters().size(); ++i) {
      const nn::Parameter& p = *model.parameters()[i];
      EXPECT_EQ(p.index, static_cast<std::int64_t>(i));
      EXPECT_TRUE(names.insert(p.name).second) << p.name;
      EXPECT_EQ(p.decay, p.is_matrix()) << p.name;
    }
  }
}

}  // namespace
}  // namespace boreal::model
