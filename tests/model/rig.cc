#include "tests/model/rig.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "kernels/ops.h"
#include "model/family.h"

namespace boreal::model {

using reference::DecoderBatch;
using reference::Matrix;
using reference::Values;
using tensor::Shape;
using tensor::Tensor;

DecoderConfig tiny_llama(DType dtype) {
  DecoderConfig c;
  c.family = "llama";
  c.hidden = 48;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.ffn = 88;
  c.vocab = 97;
  c.context = 160;
  c.dtype = dtype;
  c.tied = false;
  return c;
}

DecoderConfig tiny_gpt2(DType dtype) {
  DecoderConfig c;
  c.family = "gpt2";
  c.hidden = 40;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 4;
  c.ffn = 150;
  c.vocab = 61;
  c.context = 160;
  c.dtype = dtype;
  c.norm = nn::NormKind::layer;
  c.mlp = nn::MlpKind::gelu;
  c.qkv_bias = c.bias = true;
  c.position = PositionKind::learned;
  return c;
}

std::vector<std::string> all_families() {
  return {"llama", "gpt2", "neox", "mistral", "qwen2", "qwen3", "gemma2", "olmo2", "alibi"};
}

DecoderConfig tiny(const std::string& family, DType dtype) {
  if (family == "llama") return tiny_llama(dtype);
  if (family == "gpt2") return tiny_gpt2(dtype);
  spec::ModelSpec s;
  s.family = family;
  s.hidden = 48;
  s.layers = 2;
  s.heads = 4;
  s.kv_heads = 2;
  s.ffn = 88;
  s.vocab = 97;
  s.context = 160;
  s.dtype = name_of(dtype);
  s.tied_embeddings = family == "gemma2";
  if (family == "alibi") s.family = "llama", s.position = "alibi", s.heads = 3, s.kv_heads = 1;
  if (family == "neox") s.hidden = 172, s.heads = 2, s.kv_heads = 0, s.rotary_percent = 0.75;
  if (family == "mistral") {
    s.attention.window = 7;
    s.rope_scaling = {.type = "linear", .factor = 4};
  }
  if (family == "qwen2") {
    s.attention = {.window = 12, .window_begin = 1};
    s.rope_scaling = {.type = "llama3", .factor = 8, .low = 1, .high = 4, .original_context = 24};
  }
  if (family == "qwen3") s.head_dim = 20;
  if (family == "gemma2") {
    s.head_dim = 14;
    s.attention = {.window = 9, .soft_cap = 4, .scalar = 30};
    s.logit_soft_cap = 3;
  }
  return config_of(s, 0).value();
}

namespace {

// By the formula of the papers, in double.
std::vector<double> frequencies(const DecoderConfig& c) {
  std::vector<double> all;
  const auto dim = static_cast<double>(c.rotary_dim());
  for (double i = 0; i < dim / 2; ++i) {
    const double plain = std::pow(c.rope.theta, -2 * i / dim);
    const double turns =
        static_cast<double>(c.rope.original_context) * plain / (2 * std::numbers::pi);
    const double share = std::clamp((turns - c.rope.low) / (c.rope.high - c.rope.low), 0.0, 1.0);
    switch (c.rope.scaling) {
      case nn::RotaryScaling::none: all.push_back(plain); break;
      case nn::RotaryScaling::linear: all.push_back(plain / c.rope.factor); break;
      case nn::RotaryScaling::llama3:
        all.push_back(share * plain + (1 - share) * plain / c.rope.factor);
        break;
    }
  }
  return all;
}

reference::AttentionHeads twin_heads(const DecoderConfig& c) {
  reference::AttentionHeads heads{.heads = c.heads, .kv_heads = c.kv_heads};
  if (c.attention.scalar > 0) heads.scale = 1 / std::sqrt(c.attention.scalar);
  heads.soft_cap = c.attention.soft_cap;
  // Press et al. 2022, of 3 heads: those of two, then the first of four.
  if (c.position == PositionKind::alibi) {
    CHECK_EQ(c.heads, 3);
    heads.alibi_slopes = {1.0 / 16, 1.0 / 256, 1.0 / 4};
  }
  return heads;
}

reference::Activation twin_activation(nn::MlpKind kind) {
  switch (kind) {
    case nn::MlpKind::gelu: return reference::Activation::gelu;
    case nn::MlpKind::gelu_erf: return reference::Activation::gelu_erf;
    case nn::MlpKind::swiglu: return reference::Activation::swiglu;
    case nn::MlpKind::geglu: return reference::Activation::geglu;
  }
  return reference::Activation::swiglu;
}

}  // namespace

reference::DecoderShape twin_shape(const DecoderConfig& c) {
  reference::DecoderShape shape{.layers = c.layers,
                                .heads = twin_heads(c),
                                .window = {},
                                .frequency = frequencies(c),
                                .layer_norm = c.norm == nn::NormKind::layer,
                                .plus = c.norm_plus_one ? 1.0 : 0.0,
                                .norm_eps = c.norm_eps,
                                .placement = static_cast<reference::Placement>(c.placement),
                                .activation = twin_activation(c.mlp),
                                .logit_soft_cap = c.logit_soft_cap,
                                .tied = c.tied};
  for (std::int64_t i = 0; i < c.layers; ++i) shape.window.push_back(c.attention.window_of(i));
  if (c.scaled_embedding) {
    const auto root = static_cast<float>(std::sqrt(static_cast<double>(c.hidden)));
    shape.embedding_scale =
        static_cast<double>(c.dtype == DType::bf16 ? to_float(to_bf16(root)) : root);
  }
  return shape;
}

DecoderBatch draw_batch(const std::string& name, const std::vector<std::int64_t>& lengths,
                        std::int64_t vocab) {
  DecoderBatch batch;
  for (std::size_t d = 0; d < lengths.size(); ++d)
    for (std::int64_t i = 0; i < lengths[d]; ++i) {
      batch.position.push_back(i);
      batch.document.push_back(static_cast<std::int64_t>(d));
    }
  const auto rows = static_cast<std::int64_t>(batch.position.size());
  batch.id = reference::random_ids(name + " ids", rows, vocab);
  batch.target = reference::random_ids(name + " targets", rows, vocab);
  batch.weight.assign(batch.id.size(), 1);
  batch.scale = 1 / static_cast<double>(rows);
  return batch;
}

DecoderBatch part_of(const DecoderBatch& batch, std::int64_t begin, std::int64_t end) {
  const auto cut = [&](const auto& all) {
    return std::decay_t<decltype(all)>(all.begin() + begin, all.begin() + end);
  };
  return {.id = cut(batch.id),
          .position = cut(batch.position),
          .document = cut(batch.document),
          .target = cut(batch.target),
          .weight = cut(batch.weight),
          .scale = batch.scale};
}

std::vector<kernels::AttentionSpan> spans_of(const std::vector<std::int64_t>& document) {
  std::vector<kernels::AttentionSpan> spans;
  for (std::size_t begin = 0; begin < document.size();) {
    std::size_t end = begin;
    while (end < document.size() && document[end] == document[begin]) ++end;
    const auto row = static_cast<std::int64_t>(begin);
    const auto length = static_cast<std::int64_t>(end - begin);
    spans.push_back({row, length, 0, row, length});
    begin = end;
  }
  return spans;
}

namespace {

// Wider sums would grow until softmax picks one key and rounding decides which.
double matrix_scale(std::int64_t columns) {
  return columns <= 150 ? 0.2 : 0.2 * std::sqrt(48 / static_cast<double>(columns));
}

std::int64_t longest(const std::vector<kernels::AttentionSpan>& spans) {
  std::int64_t keys = 0;
  for (const auto& span : spans) keys = std::max(keys, span.keys);
  return keys;
}

}  // namespace

Rig::Rig(const DecoderConfig& config, const device::Context& ctx, std::int64_t arena_bytes)
    : ctx_(ctx),
      model_(config),
      state_(model_.parameters(), false),
      weights_(model_.parameters(), config.dtype, true, false),
      arena_(arena_bytes) {
  model_.prepare(ctx_);
  for (const nn::Parameter* p : model_.parameters()) {
    Matrix values = reference::random_matrix(p->name, p->shape.rows(), p->shape.columns(),
                                             p->is_matrix() ? matrix_scale(p->shape[1]) : 0.1);
    if (p->init == nn::Init::ones)
      for (double& value : values.values) value += 1;
    Values fp32(DType::f32, values);
    std::memcpy(state_.master(*p).data, fp32.bytes().data(), fp32.bytes().size());
  }
  weights_.publish(ctx_, state_);
}

double Rig::run(const DecoderBatch& batch, nn::GradientSink* gradients,
                const spec::RecomputeByBlock& recompute) {
  const auto count = static_cast<std::int64_t>(batch.id.size());
  Values id(batch.id);
  Values position(batch.position);
  const std::vector<kernels::AttentionSpan> spans = spans_of(batch.document);
  const nn::Rows rows{.count = count,
                      .id = id.tensor(),
                      .position = position.tensor(),
                      .spans = spans,
                      .keys_max = longest(spans),
                      .cache_row = {}};
  std::vector<std::int64_t> row;
  std::vector<std::int64_t> target;
  Matrix seed(1, 0);
  Matrix weight(1, 0);
  for (std::size_t r = 0; r < batch.id.size(); ++r) {
    if (batch.weight[r] == 0) continue;
    row.push_back(static_cast<std::int64_t>(r));
    target.push_back(batch.target[r]);
    seed.values.push_back(batch.weight[r] * batch.scale);
  }
  const auto n = static_cast<std::int64_t>(row.size());
  seed.columns = n;
  Values row_values(row);
  Values target_values(target);
  Values seed_values(DType::f32, seed);
  Values loss(DType::f32, Shape{n});
  const nn::Targets targets{.row = row_values.tensor(),
                            .id = target_values.tensor(),
                            .seed = seed_values.tensor().reshaped(Shape{n}),
                            .loss = loss.tensor(),
                            .count = n};
  TrainBooks books = model_.make_books(recompute);
  model_.train(ctx_, arena_, weights_, gradients, rows, targets, books);
  CHECK_EQ(arena_.tape_mark(), 0);
  CHECK_EQ(arena_.scratch_mark(), 0);
  losses_ = loss.bytes();
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += loss.matrix()(0, i) * seed(0, i);
  return total;
}

double Rig::accumulate(const DecoderBatch& batch, const spec::RecomputeByBlock& recompute) {
  return run(batch, &state_, recompute);
}
double Rig::evaluate(const DecoderBatch& batch) {
  return run(batch, nullptr, {});
}

void Rig::zero_gradients() {
  kernels::fill_zero(ctx_, state_.all_gradients());
}

reference::Parameters Rig::gradients() {
  reference::Parameters out;
  for (const nn::Parameter* p : model_.parameters())
    out[p->name] = reference::matrix_of(state_.gradient(*p));
  return out;
}

std::vector<std::byte> Rig::gradient_bytes() {
  return reference::bytes_of_tensor(state_.all_gradients());
}

std::vector<std::byte> Rig::gradient_bytes(const std::string& name) {
  for (const nn::Parameter* p : model_.parameters())
    if (p->name == name) return reference::bytes_of_tensor(state_.gradient(*p));
  CHECK(false, "no parameter {}", name);
}

reference::Parameters Rig::weights() const {
  reference::Parameters out;
  for (const nn::Parameter* p : model_.parameters()) {
    const Matrix master = reference::matrix_of(state_.master(*p));
    out[p->name] = Values(p->is_matrix() ? model_.config().dtype : DType::f32, master).matrix();
  }
  return out;
}

Values Rig::logits(const DecoderBatch& batch) {
  return logits(batch.id, batch.position, {}, spans_of(batch.document), nullptr);
}

Values Rig::logits(const std::vector<std::int64_t>& id, const std::vector<std::int64_t>& position,
                   const std::vector<std::int64_t>& cache_row,
                   const std::vector<kernels::AttentionSpan>& spans,
                   std::vector<nn::LayerState>* state) {
  Values ids(id);
  Values positions(position);
  Values cache_rows(cache_row);
  const auto count = static_cast<std::int64_t>(id.size());
  const nn::Rows rows{.count = count,
                      .id = ids.tensor(),
                      .position = positions.tensor(),
                      .spans = spans,
                      .keys_max = longest(spans),
                      .cache_row = cache_rows.tensor()};
  std::vector<std::int64_t> every;
  for (std::int64_t r = 0; r < count; ++r) every.push_back(r);
  Values wanted(every);
  Values out(DType::f32, Shape{count, model_.config().vocab});
  model_.generate(ctx_, arena_, weights_, rows, state, wanted.tensor(), out.tensor());
  return out;
}

}  // namespace boreal::model
