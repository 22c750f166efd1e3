// Decoder: embedding, a stack of blocks, head. A family (llama, gpt2, ...) is a DecoderConfig and a
// name map: one small file each. A model holds no weights: it describes parameters and asks a
// WeightSource for their memory while it runs. Thread rule: const calls from the thread that owns
// the pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/group.h"
#include "nn/block.h"
#include "nn/embedding.h"
#include "nn/head.h"
#include "nn/rotary.h"
#include "spec/recompute.h"
#include "tensor/memory.h"

namespace boreal::model {

// learned: rows added to the embedding. alibi: attention falls off with distance (Press et al.
// 2022).
enum class PositionKind : std::uint8_t { rotary, learned, alibi };

// What attention has beside grouped queries.
struct AttentionFeatures {
  nn::HeadNormKind qk_norm = nn::HeadNormKind::none;
  double scalar = 0;        // scores are divided by its root; 0: by that of the head size
  double soft_cap = 0;      // 0: none
  std::int64_t window = 0;  // keys that a query of a windowed layer sees; 0: no layer has one
  // Windowed are layer window_begin and every window_period-th behind it.
  std::int64_t window_begin = 0;
  std::int64_t window_period = 1;

  // 0: all keys.
  std::int64_t window_of(std::int64_t layer) const {
    const bool windowed = layer >= window_begin && (layer - window_begin) % window_period == 0;
    return windowed ? window : 0;
  }
};

struct DecoderConfig {
  std::string family;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_size = 0;  // 0: hidden / heads
  std::int64_t ffn = 0;
  std::int64_t vocab = 0;
  std::int64_t context = 0;  // longest sequence
  DType dtype = DType::bf16;
  nn::NormKind norm = nn::NormKind::rms;
  double norm_eps = 1e-5;
  bool norm_plus_one = false;  // norms keep their distance from one
  nn::NormPlacement placement = nn::NormPlacement::before;
  nn::MlpKind mlp = nn::MlpKind::swiglu;
  bool qkv_bias = false;
  bool bias = false;  // of the other matrices of a block
  AttentionFeatures attention;
  PositionKind position = PositionKind::rotary;
  double rotary_percent = 1;      // share of a head's features that turn
  nn::RotaryOptions rope;         // but for its dim, which follows from the above
  bool scaled_embedding = false;  // token rows times the root of hidden
  double logit_soft_cap = 0;      // 0: none
  bool tied = true;
  double init_std = 0.02;

  std::int64_t head_dim() const { return head_size > 0 ? head_size : hidden / heads; }
  // Features of a head that turn; 0: not by rotary positions.
  std::int64_t rotary_dim() const;
};

// What train() keeps from call to call, so that a step allocates nothing; made by
// Decoder::make_books. Thread rule: one call at a time.
struct TrainBooks {
  spec::RecomputeByBlock recompute;
  nn::Tape tape;
  std::vector<tensor::Tensor> inputs;  // of each block, and the output of the last
  std::vector<std::int64_t> marks;     // of the arena's tape, before each block
};

class Decoder {
 public:
  // tp: the ranks that share each layer. sequence_parallel: in passes that train, activations
  // between layers lie on them by rows (dist/sequence.h).
  explicit Decoder(const DecoderConfig& config, const dist::Group& tp = {},
                   bool sequence_parallel = false);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const DecoderConfig& config() const { return config_; }
  // In a fixed order; Parameter::index is the position.
  const std::vector<nn::Parameter*>& parameters() const { return parameters_; }
  std::int64_t parameter_count() const;  // of all ranks
  // FLOPs of one token of training: 6 x (matrices with the head, without the embedding's gather) +
  // 12 x (keys that a query sees, mean over the sequence: T / 2, or less with a window) x heads x
  // head size, summed over the layers.
  double flops_per_token(std::int64_t sequence) const;

  // Of the tables that prepare() computes.
  std::int64_t constant_bytes() const { return rotary() != nullptr ? rotary()->bytes() : 0; }

  // Units of Parameter::unit: the embedding, the blocks, the head.
  std::int64_t units() const { return config_.layers + 2; }
  // Key heads whose rows of nn::LayerState this rank keeps.
  std::int64_t local_kv_heads() const {
    return nn::Attention::local_kv_heads(config_.kv_heads, tp_);
  }

  // recompute: what blocks drop and make again in backward; the gradients are bit-equal.
  TrainBooks make_books(const spec::RecomputeByBlock& recompute) const;

  // Computes constant tables (rotary angles). Once per process, before the first pass; not on the
  // meta device.
  void prepare(const device::Context& ctx);

  // rows and targets: the same on every rank of tp. Forward, loss, and with gradients in the pass
  // backward: everything a micro-batch does. Losses go to targets.loss.
  void train(const device::Context& ctx, tensor::Arena& arena, nn::WeightSource& weights,
             nn::GradientSink* gradients, const nn::Rows& rows, const nn::Targets& targets,
             TrainBooks& books) const;

  // Forward with cached keys and values; logits fp32 [n, vocab] of the listed rows.
  void generate(const device::Context& ctx, tensor::Arena& arena, nn::WeightSource& weights,
                const nn::Rows& rows, std::vector<nn::LayerState>* state, const tensor::Tensor& row,
                tensor::Tensor logits) const;

 private:
  const tensor::Tensor* rotary() const { return rotary_.table(); }

  DecoderConfig config_;
  dist::Group tp_;
  bool sequence_parallel_;
  nn::LayerIds ids_;
  nn::Embedding embedding_;
  std::vector<nn::Block> blocks_;
  nn::Head head_;
  std::vector<nn::Parameter*> parameters_;
  nn::Rotary rotary_;
};

}  // namespace boreal::model
